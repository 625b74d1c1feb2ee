import { describe, expect, it } from 'vitest';
import { importValue } from '../tree/content.ts';
import { encodeTree, SNAPSHOT_CHUNK_BYTES, SnapshotBuilder } from './snapshot-codec.ts';
import { Tree } from '../tree/tree.ts';

/** What a snapshot of a tree gives back. */
function throughSnapshot(tree: Tree): Tree {
  const builder = new SnapshotBuilder();
  for (const chunk of encodeTree(tree.pin())) builder.add(chunk);
  return builder.tree;
}

function treeOf(value: object): Tree {
  const tree = new Tree();
  tree.put([], importValue(value, [], tree.generation));
  return tree;
}

/** More keys than a narrow object has. */
const WIDE = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`key ${index}`, index]));

function emptyOut(tree: Tree, path: string[]): void {
  for (const key of Object.keys(WIDE)) tree.delete([...path, key]);
}

describe('A snapshot', () => {
  it('has the empty objects, also wide ones that lost all their keys', () => {
    const tree = treeOf({ list: WIDE, empty: {}, deep: { list: WIDE } });
    emptyOut(tree, ['list']);
    emptyOut(tree, ['deep', 'list']);
    const copy = throughSnapshot(tree);
    expect(copy.digest()).toBe(tree.digest());
    expect(copy.get(['list'])).toMatchObject({ size: 0 });
    expect(copy.get(['deep', 'list'])).toMatchObject({ size: 0 });
  });

  it('has at most one long value in a chunk, whatever object the value is in', () => {
    const text = 'x'.repeat(SNAPSHOT_CHUNK_BYTES);
    const long = { text, array: [text.slice(1), 1], nested: [[{ [text.slice(0, 60_000)]: text.slice(2) }]], short: [null, 'a', { b: 1 }] };
    const tree = treeOf({ records: { long, other: long, short: { a: [1], b: 'b' } } });
    const lengths = [...encodeTree(tree.pin())].map(chunk => chunk.length);
    expect(Math.max(...lengths)).toBeLessThan(2.5 * SNAPSHOT_CHUNK_BYTES);
    expect(throughSnapshot(tree).digest()).toBe(tree.digest());
  });

  it('of a root that lost all its keys is the empty tree', () => {
    const tree = treeOf(WIDE);
    emptyOut(tree, []);
    expect(throughSnapshot(tree).digest()).toBe(new Tree().digest());
  });

  it('has the keys that a wide object got after it was emptied', () => {
    const tree = treeOf({ list: WIDE });
    emptyOut(tree, ['list']);
    tree.put(['list', 'again'], importValue({ a: [1] }, [], tree.generation));
    expect(throughSnapshot(tree).digest()).toBe(tree.digest());
  });
});
