import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Guards } from './guards.ts';
import { Transaction } from './transaction.ts';
import { exportValue, importValue, sameContent } from '../tree/content.ts';
import type { Child, TreeNode } from '../tree/node.ts';
import { formatPath, type Path } from '../tree/path.ts';
import { getFrom, Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

const path = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 0, maxLength: 4 });
const { value } = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Value>(0, 1, null),
    fc.array(fc.constantFrom(0, 1), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3 }),
  ),
}));
const content = fc.dictionary(fc.constantFrom('a', 'b', 'c'), value, { maxKeys: 3 });
const write = fc.oneof(
  { weight: 3, arbitrary: fc.record({ path, value: fc.option(value, { nil: undefined }) }) },
  { weight: 1, arbitrary: fc.record({ path, value: content }) },
);

function isAbove(one: Path, other: Path): boolean {
  return one.length < other.length && one.every((key, level) => key === other[level]);
}

describe('the net operations of a transaction', () => {
  it('turn the tree before into the tree after, each changes something, and none is above another', () => {
    fc.assert(
      fc.property(content, fc.array(write, { minLength: 2, maxLength: 12 }), (start, writes) => {
        const tree = new Tree(importValue(start, [], 1) as TreeNode);
        const before = tree.pin();
        const transaction = new Transaction(tree, { concerns: () => false }, 1e6);
        const { operations } = transaction.run(tx => {
          for (const each of writes) {
            try {
              if (each.value === undefined) tx.delete(each.path);
              else tx.put(each.path, each.value);
            } catch {
              // Through a leaf, or no object at the root: it changed nothing.
            }
          }
        }, new Guards());
        const again = new Tree(before);
        for (const { path: at, child } of operations) {
          expect(sameContent(getFrom(before, at) as Child | undefined, child)).toBe(false);
          if (child === undefined) again.delete(at);
          else again.put(at, importValue(exportValue(child), at, again.generation));
        }
        expect(again.digest()).toBe(tree.digest());
        for (const one of operations) expect(operations.filter(other => isAbove(one.path, other.path))).toEqual([]);
        expect(new Set(operations.map(each => each.path.join('/'))).size).toBe(operations.length);
      }),
      { numRuns: 2_000 },
    );
  });
});

it('a long transaction writes to the same paths by pointers as by segments', () => {
  const paths = Array.from({ length: 700 }, (_, n) => [`dev-${n % 90}`, n % 7 === 0 ? 'a/b~c' : `f${n % 11}`]);
  const written = (toPath: (segments: readonly string[]) => string | readonly string[]): string => {
    const tree = new Tree();
    const transaction = new Transaction(tree, { concerns: () => false }, 1e6);
    transaction.run(tx => {
      for (const [n, each] of paths.entries()) {
        tx.put(toPath(each), n);
        if (tx.get(toPath(each)) !== n) throw new Error(`${n} was not written`);
        if (n % 50 === 49) tx.delete(toPath(paths[n - 1]!));
      }
    }, new Guards());
    return tree.digest();
  };
  expect(written(formatPath)).toBe(written(segments => segments));
});

it('are few for a long transaction of which many writes meet in one object', () => {
  const tree = new Tree();
  const before = tree.pin();
  const left = new Map<string, number>();
  const transaction = new Transaction(tree, { concerns: () => false }, 1e7);
  const { operations } = transaction.run(tx => {
    for (let n = 0; n < 40_000; n++) {
      const key = `k${n % 3 === 0 ? n >> 1 : n}`;
      if (n % 10 === 9) tx.delete(['wide', key]);
      else tx.put(['wide', key, 'x'], n);
      if (n % 10 === 9) left.delete(key);
      else left.set(key, n);
    }
  }, new Guards());
  expect(exportValue(tree.get(['wide']) as Child)).toEqual(Object.fromEntries([...left].map(([key, n]) => [key, { x: n }])));
  const again = new Tree(before);
  for (const { path: at, child } of operations) again.put(at, importValue(exportValue(child!), at, again.generation));
  expect(again.digest()).toBe(tree.digest());
  expect(new Set(operations.map(each => each.path.join('/'))).size).toBe(operations.length);
});
