import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exportValue } from '../tree/content.ts';
import { Guards } from './guards.ts';
import { Transaction } from './transaction.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

type Members = { readonly [key: string]: Value };
type Step =
  | { readonly type: 'put' | 'merge'; readonly path: readonly string[]; readonly value: Value }
  | { readonly type: 'delete'; readonly path: readonly string[] };

const OTHER_LEAF = 9;
const key = fc.constantFrom('a', 'b', 'c');
const path = fc.array(key, { minLength: 1, maxLength: 3 });
const { value, members } = fc.letrec<{ value: Value; members: Members }>(tie => ({
  value: fc.oneof({ weight: 3, arbitrary: fc.constantFrom<Value>(0, 1, 'x', null, false, [1], [2], {}) }, tie('members')),
  members: fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
}));
const step = fc.oneof(
  fc.record({ type: fc.constant('put' as const), path, value }),
  fc.record({ type: fc.constant('merge' as const), path: fc.array(key, { maxLength: 3 }), value: members }),
  fc.record({ type: fc.constant('delete' as const), path }),
);
/** A merge of what stands there before the transaction, with members left out and leaves changed. */
const ownMerge = fc.record({
  at: fc.array(key, { maxLength: 2 }),
  draws: fc.array(fc.nat({ max: 3 }), { minLength: 7, maxLength: 7 }),
  reversed: fc.boolean(),
});
const transactions = fc.array(fc.array(fc.oneof(step, ownMerge), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });

function isObject(found: Value | undefined): found is Members {
  return typeof found === 'object' && found !== null && !Array.isArray(found);
}

function at(found: Value | undefined, [name, ...below]: readonly string[]): Value | undefined {
  if (name === undefined) return found;
  return isObject(found) ? at(found[name], below) : undefined;
}

/** @throws Error if the path leads through a leaf */
function changed(
  found: Value | undefined,
  [name, ...below]: readonly string[],
  make: (old: Value | undefined) => Value | undefined,
): Value {
  if (name === undefined) return make(found)!;
  if (found !== undefined && !isObject(found)) throw new Error('through a leaf');
  const { [name]: old, ...others } = found ?? {};
  const child = below.length === 0 ? make(old) : changed(old, below, make);
  return child === undefined ? others : { ...others, [name]: child };
}

/** RFC 7396, section 2. */
function merged(target: Value | undefined, patch: Value): Value {
  if (!isObject(patch)) return patch;
  let result: Members = isObject(target) ? target : {};
  for (const [name, member] of Object.entries(patch)) {
    const { [name]: old, ...others } = result;
    result = member === null ? others : { ...others, [name]: merged(old, member) };
  }
  return result;
}

function modelled(model: Value, each: Step): Value {
  if (each.type === 'put') return changed(model, each.path, () => each.value);
  if (each.type === 'merge') return changed(model, each.path, old => merged(old, each.value));
  // Nothing is deleted below what is not there; and no parents are made.
  if (each.path.length > 1 && at(model, each.path.slice(0, -1)) === undefined && !leadsThroughLeaf(model, each.path)) return model;
  return changed(model, each.path, () => undefined);
}

function leadsThroughLeaf(model: Value, steps: readonly string[]): boolean {
  return steps.slice(0, -1).some((_, end) => {
    const found = at(model, steps.slice(0, end + 1));
    return found !== undefined && !isObject(found);
  });
}

function ownDocument(found: Value | undefined, draws: number[], reversed: boolean): Members {
  if (!isObject(found)) return {};
  const names = reversed ? Object.keys(found).toReversed() : Object.keys(found);
  const document: { [key: string]: Value } = {};
  for (const name of names) {
    const draw = draws.shift() ?? 1;
    const member = found[name]!;
    if (draw === 0) continue;
    if (isObject(member)) document[name] = ownDocument(member, draws, reversed);
    else document[name] = draw === 3 ? OTHER_LEAF : member;
  }
  return document;
}

function digestOf(content: Value): string {
  const tree = new Tree();
  const transaction = new Transaction(tree, { concerns: () => false }, 1e9);
  transaction.run(tx => tx.put([], content), new Guards());
  transaction.release();
  return tree.digest();
}

test('a transaction of any writes leaves what a model says, or all as it was', () => {
  fc.assert(
    fc.property(transactions, fc.boolean(), (given, concerns) => {
      const tree = new Tree();
      const transaction = new Transaction(tree, { concerns: () => concerns }, 1e9);
      let model: Value = {};
      for (const drawn of given) {
        const steps = drawn.map((each): Step => {
          if ('type' in each) return each;
          return { type: 'merge', path: each.at, value: ownDocument(at(model, each.at), [...each.draws], each.reversed) };
        });
        const expected = outcome(() => steps.reduce(modelled, model));
        const found = outcome(() =>
          transaction.run(tx => {
            for (const each of steps) {
              if (each.type === 'delete') tx.delete(each.path);
              else tx[each.type](each.path, each.value);
            }
          }, new Guards()),
        );
        transaction.release();
        expect(found.failed).toBe(expected.failed);
        if (!expected.failed) model = expected.result!;
        expect(exportValue(tree.root)).toEqual(model);
        expect(tree.digest()).toBe(digestOf(model));
      }
    }),
    { numRuns: 3_000 },
  );
});

function outcome<T>(run: () => T): { readonly failed: boolean; readonly result?: T } {
  try {
    return { failed: false, result: run() };
  } catch {
    return { failed: true };
  }
}
