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
    return [scan.at, scan.keys.length];
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

test('a large value is skipped with a pause after each 256 members', () => {
  const pauses: number[] = [];
  const large = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, [index]]));
  ends([large, 1, [[]]], scan => void pauses.push(skipInSteps(scan)));
  expect(pauses).toEqual([39, 0, 0]);
});

/** The value of an operation, made in steps, and the pauses meanwhile. */
function valueInSteps(scan: BodyScan): { readonly value: Value | undefined; readonly pauses: number } {
  const steps = scan.valueInSteps();
  for (let pauses = 0; ; pauses++) {
    const step = steps.next();
    if (step.done === true) return { value: step.value, pauses };
  }
}

test('a value that is made in steps is the one that was put, and ends where it is skipped to', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 1, maxLength: 6 }), values => {
      const made: unknown[] = [];
      const madeEnds = ends(values as Value[], scan => void made.push(valueInSteps(scan).value));
      expect(madeEnds).toEqual(ends(values as Value[], scan => scan.skip()));
      // The tree knows no negative zero.
      expect(JSON.stringify(made)).toBe(JSON.stringify(values));
    }),
    { numRuns: 200 },
  );
});

test('what is at a path in a value is found, with a pause after each 256 members', () => {
  const members = 5_000;
  const inner = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`a-key-that-is-long-${n}`, n]));
  const value = Object.fromEntries(Array.from({ length: members }, (_, n) => [`k${n}`, n === 1 ? 1 : inner]));
  const findAt = (path: readonly string[]) => {
    let [entered, pauses]: [number | undefined, number] = [undefined, 0];
    ends([value], scan => {
      const steps = scan.descend(path.map(key => Buffer.from(key)));
      let step = steps.next();
      for (; step.done !== true; step = steps.next()) pauses++;
      entered = step.value;
    });
    return { entered, pauses };
  };
  expect(findAt(['k4999', 'a-key-that-is-long-7']).entered).toBe(2);
  expect(findAt(['k4999', 'none']).entered).toBe(-1);
  expect(findAt(['k1', 'inside']).entered).toBe(1);
  // Of each member inside, too.
  expect(findAt(['none'])).toEqual({ entered: -1, pauses: Math.floor((members + (members - 1) * 100) / 256) });
});

test('a large value is made with a pause after each 256 members, and its arrays are frozen', () => {
  const found: unknown[] = [];
  const large = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, [index]]));
  ends([large, 1, [[]]], scan => void found.push(valueInSteps(scan)));
  expect(found).toEqual([
    { value: large, pauses: 39 },
    { value: 1, pauses: 0 },
    { value: [[]], pauses: 0 },
  ]);
  const [object, , nested] = found.map(each => (each as { value: Value }).value) as [{ k7: Value }, Value, Value[]];
  expect([object.k7, nested, nested[0]].map(each => Object.isFrozen(each))).toEqual([true, true, true]);
});

test('a value with a key that was spelled before the part is none, in steps as well', () => {
  const steps = [
    { path: ['a'], value: { key: 1 }, pin: false },
    { path: ['b'], value: { key: 2 }, pin: false },
  ];
  const body = frameBody(frames(new Tree(), [steps], 'binary').at(-1)!);
  const whole = new BodyScan(body);
  whole.changeSet();
  whole.operation();
  whole.skip();
  const part = () => {
    const scan = new BodyScan(body.subarray(whole.at), { isPart: true });
    if (whole.operations === 1) scan.changeSet();
    scan.operation();
    return scan;
  };
  expect([part().value(), valueInSteps(part()).value]).toEqual([undefined, undefined]);
});
