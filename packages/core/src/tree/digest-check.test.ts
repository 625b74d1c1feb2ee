import { describe, expect, it } from 'vitest';
import { importValue } from './content.ts';
import { checkDigests, DAMAGED_LIMIT, type DigestCheck } from './digest-check.ts';
import { type Child, TreeNode } from './node.ts';
import { setSlot } from './node-slots.ts';
import { formatPath } from './path.ts';
import { getFrom, Tree } from './tree.ts';
import type { Value } from './value.ts';

function treeOf(content: Value): Tree {
  const tree = new Tree();
  tree.put([], importValue(content, [], tree.generation));
  tree.digest();
  return tree;
}

/** As a flipped bit does it: the value is another one, and nothing was told. */
function damage(tree: Tree, path: readonly string[], key: string, value: Child): void {
  const node = getFrom(tree.root, path);
  if (!(node instanceof TreeNode) || node.shape === undefined) throw new Error('not a narrow object');
  setSlot(node, node.shape.indexOf(key), value);
}

function check(tree: Tree): { readonly result: DigestCheck; readonly pauses: number } {
  const steps = checkDigests(tree.pin());
  let pauses = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) pauses++;
  return { result: step.value, pauses };
}

describe('a check of all digests', () => {
  it('finds nothing in a tree as commits leave it, narrow or wide', () => {
    const tree = treeOf({
      a: { b: { c: [1, { d: 2 }] }, '': {} },
      wide: Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`k${at}`, at])),
    });
    tree.put(['a', 'b', 'x'], 1);
    tree.delete(['wide', 'k7']);
    tree.digest();
    const { result, pauses } = check(tree);
    expect(result).toEqual({ objects: 5, damaged: [] });
    expect(pauses).toBe(2);
  });

  it('finds the object whose value changed without its sum; digests do not show it', () => {
    const tree = treeOf({ a: { b: { c: 1 } }, d: 2 });
    const before = tree.digest();
    damage(tree, ['a', 'b'], 'c', 9);
    expect(tree.digest()).toBe(before);
    expect(check(tree).result.damaged.map(formatPath)).toEqual(['/a/b']);
    damage(tree, [], 'd', 3);
    expect(check(tree).result.damaged.map(formatPath).toSorted()).toEqual(['', '/a/b']);
  });

  it('names a bounded number of them', () => {
    const tree = treeOf(Object.fromEntries(Array.from({ length: DAMAGED_LIMIT + 5 }, (_, at) => [`k${at}`, { v: 1 }])));
    for (let at = 0; at < DAMAGED_LIMIT + 5; at++) damage(tree, [`k${at}`], 'v', 2);
    expect(check(tree).result.damaged).toHaveLength(DAMAGED_LIMIT);
  });
});
