import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frames } from '../../test/made-frames.ts';
import { BodyScan } from './body-scan.ts';
import { frameBody } from './frame.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** Steps over the operations of a frame that puts these values, and tells where each of them ends. */
function ends(values: readonly Value[], skip: (scan: BodyScan) => void): unknown[] {
  const steps = values.map((value, index) => ({ path: [`at${index}`], value, pin: false }));
  const frame = frames(new Tree(), [steps], 'binary').at(-1)!;
  const scan = new BodyScan(frameBody(frame));
  return values.map(() => {
    scan.changeSet();
    scan.operation();
    skip(scan);
    return [scan.at, scan.keyStarts.length];
  });
}

function skipInSteps(scan: BodyScan): number {
  let pauses = 0;
  for (const _ of scan.skipInSteps()) pauses++;
  return pauses;
}

test('a value is skipped in steps to where it is skipped at once', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 1, maxLength: 6 }), values => {
      expect(ends(values as Value[], scan => void skipInSteps(scan))).toEqual(ends(values as Value[], scan => scan.skip()));
    }),
    { numRuns: 200 },
  );
});

test('a large value is skipped with a pause after each 1,024 members', () => {
  const pauses: number[] = [];
  const large = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, [index]]));
  ends([large, 1, [[]]], scan => void pauses.push(skipInSteps(scan)));
  expect(pauses).toEqual([9, 0, 0]);
});
