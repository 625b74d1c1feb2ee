import { expect, test } from 'vitest';
import { frames, type Step } from '../../test/made-frames.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { readInSteps } from './binary-steps.ts';
import { CollectSink } from './collect-sink.ts';
import { frameBody } from './frame.ts';

const put = (path: string, value: Value): Step => ({ path: [path], value, pin: false });
const list = <T>(count: number, item: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => item(index));

/** What a frame of these steps holds is read in steps. */
function read(steps: readonly Step[]): { readonly bytes: number; readonly pauses: number; readonly operations: number } {
  const frame = frames(new Tree(), [steps], 'binary').at(-1)!;
  const sink = new CollectSink(frame.header.base.revision, child => child);
  const body = frameBody(frame);
  const pauses = [...readInSteps(body, frame.header, 0, { sink, sieve: undefined, changeSets: frame.header.count })].length;
  return { bytes: body.length, pauses, operations: sink.changeSets.length };
}

test('a pause comes after each 256 operations, where they are short', () => {
  const steps = list(1_024, index => put(`k${index % 4}`, index));
  const { bytes, pauses, operations } = read(steps);
  expect(operations).toBe(1_024);
  expect(bytes, 'so that no pause comes because of the bytes').toBeLessThan(4 * 4 * 1024);
  expect(pauses).toBe(4);
});

const TEXT = 'x'.repeat(1_000);

test.each<[string, Step[]]>([
  ['texts that are put one by one', list(128, index => put(`k${index % 4}`, `${index} ${TEXT}`))],
  ['an object of texts', [put('a', Object.fromEntries(list(128, index => [`k${index}`, `${index} ${TEXT}`])))]],
  [
    'an array of texts',
    [
      put(
        'a',
        list(128, index => `${index} ${TEXT}`),
      ),
    ],
  ],
  ['objects in an object', [put('a', Object.fromEntries(list(128, index => [`k${index}`, { text: `${index} ${TEXT}` }])))]],
])('a pause comes after 4 KiB, and what stands at the limit: %s', (_name, steps) => {
  const { bytes, pauses } = read(steps);
  expect(bytes).toBeGreaterThan(120 * 1024);
  expect(pauses).toBeGreaterThanOrEqual(Math.floor(bytes / (4 * 1024 + 1_100)));
});
