import fc from 'fast-check';
import { expect, test } from 'vitest';
import { importValue, sameContent as sameAtOnce, sameObjectSteps } from './content.ts';
import { childKeys, lookup, TreeNode } from './node.ts';
import { getFrom, Tree } from './tree.ts';
import { finishSteps } from '../turn.ts';
import type { Value } from './value.ts';

type Edits = readonly (readonly [string, number | { readonly a: number } | undefined])[];

const edits: fc.Arbitrary<Edits> = fc.array(
  fc.tuple(
    fc.integer({ min: 0, max: 100 }).map(n => `k${n}`),
    fc.oneof(
      fc.constant(undefined),
      fc.integer({ min: 0, max: 2 }),
      fc.integer({ min: 0, max: 1 }).map(a => ({ a })),
    ),
  ),
  { maxLength: 60 },
);

/** An object that had `width` keys once, wide beyond 32 keys, and was then edited. */
function made(width: number, changes: Edits): TreeNode {
  const tree = new Tree();
  tree.put(['at'], new TreeNode(tree.generation));
  for (let n = 0; n < width; n++) tree.put(['at', `gone${n}`], n);
  for (let n = 0; n < width; n++) tree.delete(['at', `gone${n}`]);
  for (const [key, value] of changes) {
    if (value === undefined) tree.delete(['at', key]);
    else if (typeof value === 'number') tree.put(['at', key], value);
    else {
      tree.delete(['at', key]);
      tree.put(['at', key, 'a'], value.a);
    }
  }
  return getFrom(tree.pin(), ['at']) as TreeNode;
}

/** At once; in steps it has to be the same. */
function sameContent(a: TreeNode, b: TreeNode): boolean {
  const isSame = sameAtOnce(a, b);
  expect(finishSteps(sameObjectSteps(a, b))).toBe(isSame);
  return isSame;
}

/** Looks up each key of both. */
function same(a: unknown, b: unknown): boolean {
  if (!(a instanceof TreeNode) || !(b instanceof TreeNode)) return a === b;
  return [...childKeys(a), ...childKeys(b)].every(key => same(lookup(a, key), lookup(b, key)));
}

test('two objects are the same if each key has the same child, narrow or wide, however they were made', () => {
  fc.assert(
    fc.property(fc.constantFrom(0, 40), fc.constantFrom(0, 40), edits, edits, (width, other, first, second) => {
      const a = made(width, first);
      const b = made(other, second);
      expect(sameContent(a, b)).toBe(same(a, b));
      expect(sameContent(b, a)).toBe(same(a, b));
      // Each key in its last state only, in another order.
      const again = made(other, [...new Map(first)].toReversed());
      expect(sameContent(a, again)).toBe(true);
      expect(sameContent(again, a)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('one child that differs among 10,000 is found wherever it is', () => {
  const all = Array.from({ length: 10_000 }, (_, n) => [`k${n}`, n % 3] as const);
  const a = made(0, all);
  for (let n = 0; n < 10_000; n += 997) {
    expect(sameContent(a, made(0, [...all, [`k${n}`, 3]]))).toBe(false);
    expect(sameContent(a, made(0, [...all, [`k${n}`, undefined], ['other', n % 3]]))).toBe(false);
  }
  expect(sameContent(a, made(40, [...all].toReversed()))).toBe(true);
});

test('two wide objects that differ in one key alone are not the same, wherever that key would stand', () => {
  const shared = Array.from({ length: 40 }, (_, n) => [`k${n}`, 0] as const);
  const a = made(0, [...shared, ['only', 0]]);
  for (let n = 0; n < 5_000; n++) expect(sameContent(a, made(0, [...shared, [`other${n}`, 0]]))).toBe(false);
});

test.each([100, 20])('objects of %i keys, and objects in them, are compared in steps', width => {
  const some = (inner: Value): Value => Object.fromEntries(Array.from({ length: width }, (_, n) => [`k${n}`, inner]));
  const value = { at: some(some(some(1))) };
  const [a, b] = [1, 2].map(() => importValue(value, [], 1) as TreeNode);
  expect([...sameObjectSteps(a!, b!)].length).toBeGreaterThan(width ** 3 / 5_000);
});
