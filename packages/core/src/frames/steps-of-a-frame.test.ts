import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { frames, step, type Step } from '../../test/made-frames.ts';
import { isEvertreeError } from '../errors.ts';
import { applyFrame, applySteps, type Applied } from './frame-application.ts';
import { FRAME_HEADER_BYTES, sealFrame, type BodyCodec, type Frame } from './frame.ts';
import { exportValue } from '../tree/content.ts';
import type { Path } from '../tree/path.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { finishSteps } from '../turn.ts';

/** What can be seen of a frame that was applied, or the code of its error. */
function seen(apply: () => Applied): unknown {
  try {
    const { note, observed } = apply();
    return {
      note,
      observed: observed.map(({ changeSet, before, after }) => [structuredClone(changeSet), exportValue(before), exportValue(after)]),
    };
  } catch (error) {
    if (isEvertreeError(error)) return error.code;
    throw error;
  }
}

/** Applies the same frame to a tree in one go, and to its fork in steps. @returns whether it was applied */
function expectSame(tree: Tree, frame: Frame, concerns: ((path: Path) => boolean) | undefined): boolean {
  const fork = tree.fork();
  const base = fork.root;
  const content = exportValue(base);
  const stepped = seen(() => finishSteps(applySteps(fork, frame, concerns)));
  expect(exportValue(base), 'the tree that was forked').toEqual(content);
  const whole = seen(() => applyFrame(tree, frame, concerns));
  expect(stepped).toEqual(whole);
  if (typeof whole === 'string') return false;
  expect(exportValue(fork.root)).toEqual(exportValue(tree.root));
  expect(fork.digest()).toBe(tree.digest());
  return true;
}

function altered(frame: Frame, place: number, flip: number): Frame {
  const body = Buffer.from(frame.bytes.subarray(FRAME_HEADER_BYTES, -4));
  body[place % body.length]! ^= flip;
  return sealFrame(frame.header, body);
}

const damage = fc.option(fc.record({ place: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) }), { nil: undefined });
const heeded = fc.constantFrom(
  undefined,
  () => true,
  (path: Path) => path[0] === 'a',
);

describe.each<BodyCodec>(['binary', 'json'])('a frame with a %s body, applied in steps', codec => {
  it('does what it does in one go, also if it is damaged', () => {
    let damaged = 0;
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 20 }), { maxLength: 3 }), damage, heeded, (runs, hurt, concerns) => {
        const made = frames(new Tree(), runs, codec);
        const tree = new Tree();
        for (const frame of made.slice(0, -1)) expect(expectSame(tree, frame, concerns)).toBe(true);
        const last = hurt === undefined ? made.at(-1)! : altered(made.at(-1)!, hurt.place, hurt.flip);
        if (!expectSame(tree, last, concerns)) damaged++;
      }),
      { numRuns: 400 },
    );
    expect(damaged).toBeGreaterThan(20);
  });
});

const pairs = (count: number): Value => Array.from({ length: count }, (_, index) => [[index], { a: [index, { b: 'x' }], c: null }]);
const put = (path: Path, value: Value | undefined): Step => ({ path, value, pin: false });

it.each([undefined, () => true])('a long text inside an object is digested in steps', concerns => {
  const tree = new Tree();
  const text = 'text'.repeat(60_000);
  const runs = [[put(['a'], { text, n: 1 })], [put(['a', 'b'], { list: [text], text: `${text}!` })], [put(['a'], { text })]];
  for (const frame of frames(new Tree(), runs, 'binary')) {
    const pauses = [...applySteps(tree.fork(), frame, concerns)].length;
    if (frame.bytes.length > 64 * 1024) expect(pauses).toBeGreaterThan(3);
    expect(expectSame(tree, frame, concerns)).toBe(true);
  }
});

describe.each([
  ['nobody listens', undefined],
  ['somebody listens', () => true],
])('an array of many small ones, where %s', (_, concerns) => {
  test.each<[string, Step[][]]>([
    ['is put', [[put(['a'], pairs(3_000))]]],
    ['is put inside an object', [[put(['a'], { list: pairs(3_000), other: [] })]]],
    ['takes the place of another', [[put(['a'], pairs(3_000))], [put(['a'], [...(pairs(3_000) as Value[]), 1])]]],
    ['gives way to a leaf', [[put(['a'], pairs(3_000))], [put(['a'], 1)]]],
    ['is deleted', [[put(['a'], pairs(3_000)), put(['b'], pairs(2))], [put(['a'], undefined)]]],
    ['goes with its object', [[put(['a', 'b'], pairs(3_000))], [put(['a'], undefined)]]],
  ])('%s in steps', (_name, runs) => {
    const tree = new Tree();
    for (const frame of frames(new Tree(), runs, 'binary')) {
      const fork = tree.fork();
      const pauses = [...applySteps(fork, frame, concerns)].length;
      if (frame.bytes.length > 64 * 1024) expect(pauses).toBeGreaterThan(3);
      expect(expectSame(tree, frame, concerns)).toBe(true);
      expect(fork.digest()).toBe(tree.digest());
    }
  });
});
