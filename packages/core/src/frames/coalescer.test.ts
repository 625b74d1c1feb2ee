import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frames, type Step } from '../../test/made-frames.ts';
import { Coalescer } from './coalescer.ts';
import { applyFrame, replayFrame } from './frame-application.ts';
import { FRAME_HEADER_BYTES, sealFrame, type Frame } from './frame.ts';
import { exportValue, sameValue } from '../tree/content.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** Few keys, so that the same paths are changed again and again, and some objects become wide. */
const key = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c') },
  fc.constantFrom('ключ', '🌲', '', '__proto__', 'x'.repeat(200)),
  fc.integer({ min: 0, max: 40 }).map(n => `k${n}`),
);
const leaf = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: -300, max: 300 }) },
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom<Value>(null, true, false, 'text', 'длинный', 2 ** 53 - 1),
);
const { value } = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { weight: 5, arbitrary: leaf },
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(entries => Object.fromEntries(entries) as Value),
    fc.constant(Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, n])) as Value),
  ),
}));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ path: fc.array(key, { minLength: 1, maxLength: 4 }), value, pin: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({ path: fc.array(key, { minLength: 1, maxLength: 3 }), value: fc.constant(undefined), pin: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ path: fc.constant([]), value: fc.constantFrom<Value>({}, { a: { b: 1 } }), pin: fc.boolean() }),
  },
);
const runs = fc.array(fc.array(step, { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 8 });

function expectSame(found: Tree, expected: Tree): void {
  expect(found.digest()).toBe(expected.digest());
  expect(sameValue(exportValue(found.root), exportValue(expected.root))).toBe(true);
}

describe('frames of which only the last change of each path is made', () => {
  it.each(['binary', 'json'] as const)('give the tree that they give one by one, wherever they are settled (%s)', codec => {
    fc.assert(
      fc.property(runs, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (steps, settled) => {
        const made = frames(new Tree(), steps, codec);
        const [one, many] = [new Tree(), new Tree()];
        const coalescer = new Coalescer(many);
        for (const [index, frame] of made.entries()) {
          const note = replayFrame(one, frame);
          const taken = coalescer.take(frame);
          expect(taken).toEqual({ note, time: frame.header.lastTime, operations: index === 0 ? 0 : frame.header.count });
          if (settled[index % settled.length] === false) continue;
          coalescer.settle();
          expectSame(many, one);
        }
        coalescer.settle();
        expectSame(many, one);
      }),
      { numRuns: 250 },
    );
  });

  it('go on in a smaller table after a large one was given back', () => {
    const steps = Array.from({ length: 6 }, (_, run) =>
      Array.from({ length: 5_000 }, (__, n): Step => ({ path: [`k${(n * 7 + run) % 6_000}`, 'x'], value: n + run, pin: false })),
    );
    const [one, many] = [new Tree(), new Tree()];
    const coalescer = new Coalescer(many);
    for (const [index, frame] of frames(new Tree(), steps, 'binary').entries()) {
      replayFrame(one, frame);
      coalescer.take(frame);
      if (index % 2 === 0) continue;
      coalescer.settle();
      expectSame(many, one);
      coalescer.shrink();
    }
    coalescer.settle();
    expectSame(many, one);
  });

  it('are taken back whole', () => {
    fc.assert(
      fc.property(runs, fc.nat(), (steps, cut) => {
        const made = frames(new Tree(), steps, 'binary');
        const tree = new Tree();
        const before = made.slice(0, 1 + (cut % made.length));
        for (const frame of before) applyFrame(tree, frame, undefined);
        const [digest, content] = [tree.digest(), exportValue(tree.root)];
        tree.undo.clear();
        const coalescer = new Coalescer(tree);
        for (const frame of made.slice(before.length)) coalescer.take(frame);
        coalescer.settle();
        tree.takeBackAll();
        expect([tree.digest(), exportValue(tree.root)]).toEqual([digest, content]);
      }),
      { numRuns: 200 },
    );
  });

  it("name the first one that can't be applied, as if each had been applied by itself", () => {
    let failures = 0;
    fc.assert(
      fc.property(runs, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (steps, at, place, flip) => {
        const made = frames(new Tree(), steps, 'binary');
        const index = at % made.length;
        made[index] = altered(made[index]!, place, flip);
        const expected = firstFaulty(made);
        const coalescer = new Coalescer(new Tree());
        try {
          for (const frame of made) coalescer.take(frame);
          coalescer.settle();
          expect(expected).toBeUndefined();
        } catch (error) {
          failures++;
          expect(error).toMatchObject({ name: 'EvertreeError' });
          expect(coalescer.faulty).toBe(expected);
        }
      }),
      { numRuns: 600 },
    );
    expect(failures).toBeGreaterThan(60);
  });

  it.each([
    ['keys', (n: number) => ({ [`${n}`.padStart(50_000, '.')]: 1 }), 90],
    ['values', (n: number) => `${n}`.padStart(4_000_000, '.'), 17],
  ] as const)('are made when their %s take much memory, though they all go to one path', (_what, valueOf, count) => {
    const steps = Array.from({ length: count }, (_, n) => [{ path: ['a'], value: valueOf(n), pin: false }]);
    const tree = new Tree();
    const coalescer = new Coalescer(tree);
    for (const frame of frames(new Tree(), steps, 'binary')) coalescer.take(frame);
    expect(tree.root.size).toBe(1);
  });

  it('may be longer than all that is held at once', () => {
    // There is room for 393,216 paths.
    const steps = Array.from({ length: 396_000 }, (_, n) => ({ path: [`${n % 600}`, `${Math.floor(n / 600)}`], value: n, pin: false }));
    const [one, many] = [new Tree(), new Tree()];
    const made = frames(one, [steps, steps.slice(0, 20_000).map(each => ({ ...each, value: -1 }))], 'binary');
    const coalescer = new Coalescer(many);
    for (const frame of made) coalescer.take(frame);
    coalescer.settle();
    expect(many.digest()).toBe(one.digest());
  });
});

/** A frame of which one byte of the body is another one. */
function altered({ header, bytes }: Frame, place: number, flip: number): Frame {
  const body = Buffer.from(bytes.subarray(FRAME_HEADER_BYTES, -4));
  body[place % body.length]! ^= flip;
  return sealFrame(header, body);
}

function firstFaulty(made: readonly Frame[]): Frame['header'] | undefined {
  const tree = new Tree();
  for (const frame of made) {
    try {
      replayFrame(tree, frame);
    } catch {
      return frame.header;
    }
  }
  return undefined;
}
