import { BITMAP } from './branch.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { forEachDifferentChild } from './node-difference.ts';
import { childKeys, lookup, TreeNode } from './node.ts';
import { getFrom, Tree } from './tree.ts';

const edits = (most: number): fc.Arbitrary<(readonly [string, number | undefined])[]> =>
  fc.array(
    fc.tuple(
      fc.integer({ min: 0, max: 300 }).map(n => `k${n}`),
      fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
    ),
    { maxLength: most },
  );

function edit(tree: Tree, changes: readonly (readonly [string, number | undefined])[]): TreeNode {
  for (const [key, value] of changes) {
    if (value === undefined) tree.delete(['at', key]);
    else tree.put(['at', key], value);
  }
  return getFrom(tree.pin(), ['at']) as TreeNode;
}

function emptyAt(): Tree {
  const tree = new Tree();
  tree.put(['at'], new TreeNode(tree.generation));
  return tree;
}

describe('the difference of two nodes', () => {
  it('has each key with a different child once, in narrow and wide nodes', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 10, 40, 250), edits(60), edits(60), fc.boolean(), (width, first, second, related) => {
        const tree = emptyAt();
        const before = edit(tree, [...Array.from({ length: width }, (_, n) => [`k${n}`, n] as const), ...first]);
        const after = edit(related ? tree : emptyAt(), second);
        const found = new Map<string, [unknown, unknown]>();
        forEachDifferentChild(before, after, (key, old, present) => {
          expect(found.has(key)).toBe(false);
          found.set(key, [old, present]);
        });
        for (const key of new Set([...childKeys(before), ...childKeys(after)])) {
          const [old, present] = [lookup(before, key), lookup(after, key)];
          expect(found.get(key)).toEqual(old === present ? undefined : [old, present]);
          found.delete(key);
        }
        expect(found.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('is found without reading the branches that wide nodes share', () => {
    const tree = emptyAt();
    const before = edit(
      tree,
      Array.from({ length: 50_000 }, (_, n) => [`k${n}`, n] as const),
    );
    const after = edit(tree, [['k777', 1]]);
    const found: string[] = [];
    const shared = after.branch!.filter((slot, index) => typeof slot === 'object' && slot === before.branch![index]);
    // Reading what is shared would fail.
    for (const branch of shared) Object.defineProperty(branch, BITMAP, { get: () => expect.unreachable() });
    forEachDifferentChild(before, after, key => found.push(key));
    expect(found).toEqual(['k777']);
    expect(shared.length).toBe(31);
  });
});
