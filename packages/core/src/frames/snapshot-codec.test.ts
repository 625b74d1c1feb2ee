import { describe, expect, it } from 'vitest';
import { exportValue, importValue } from '../tree/content.ts';
import { BinaryBodyWriter } from './binary-writer.ts';
import { encodeTree, encodeTreeInSteps, SNAPSHOT_CHUNK_BYTES, SnapshotBuilder } from './snapshot-codec.ts';
import type { SnapshotHeader } from '../seams/journal.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

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

  it.each([
    ['numbers', Array.from({ length: 50_000 }, (_, index) => index)],
    ['empty arrays', Array.from({ length: 50_000 }, () => [[], []])],
    ['records', Array.from({ length: 50_000 }, (_, index) => ({ a: index, b: ['x', null, { c: true }] }))],
  ])('pauses within a large array of %s, and has the bytes of one that is written in one piece', (_, array) => {
    const tree = treeOf({ array });
    const root = tree.pin();
    const steps = [...encodeTreeInSteps(root)];
    const chunks = steps.filter(step => step !== undefined);
    expect(steps.length - chunks.length).toBeGreaterThanOrEqual(array.length / 1_024 - 1);
    const whole = new BinaryBodyWriter();
    whole.changeSet(0, undefined, undefined, 1);
    whole.name([root], []);
    whole.put(root, 'array', array);
    expect(chunks).toHaveLength(1);
    expect(Buffer.compare(whole.take(), chunks[0]!.subarray(4))).toBe(0);
  });

  it('pauses within an object that holds a large array of empty values, which takes no room in a chunk', () => {
    const array = Array.from({ length: 50_000 }, () => ({}));
    const tree = treeOf({ short: { array, tags: ['a', 1], b: 'b' } });
    const steps = [...encodeTreeInSteps(tree.pin())];
    expect(steps.filter(step => step === undefined).length).toBeGreaterThan(90);
    expect(throughSnapshot(tree).digest()).toBe(tree.digest());
  });

  it('pauses within a wide object after each 256 children, as it is written and as it is built', () => {
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, { a: index }]));
    const tree = treeOf({ wide });
    const steps = [...encodeTreeInSteps(tree.pin())];
    const chunks = steps.filter(step => step !== undefined);
    expect(steps.length - chunks.length).toBeGreaterThanOrEqual(Math.floor(5_000 / 256));
    const builder = new SnapshotBuilder();
    const pauses = chunks.reduce((sum, chunk) => sum + [...builder.addSteps(chunk)].length, 0);
    expect(pauses).toBeGreaterThanOrEqual(Math.floor(5_000 / 256) - chunks.length);
    expect(builder.tree.digest()).toBe(tree.digest());
  });

  it('is whole when another one of the same tree is written between its steps', () => {
    const array = Array.from({ length: 5_000 }, (_, index) => index);
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, { in: { a: index } }]));
    const tree = treeOf({ a: { array, in: { b: 1, c: { array } } }, d: { array, e: { f: array } }, wide });
    const root = tree.pin();
    const writers = [1, 2].map(() => ({ steps: encodeTreeInSteps(root), builder: new SnapshotBuilder() }));
    for (let open = [...writers]; open.length > 0;) {
      open = open.filter(({ steps, builder }) => {
        const step = steps.next();
        if (step.done !== true && step.value !== undefined) builder.add(step.value);
        return step.done !== true;
      });
    }
    expect(writers.map(({ builder }) => builder.tree.digest())).toEqual([tree.digest(), tree.digest()]);
  });
});

/** How many puts the snapshot has of an object with two arrays of so many items. */
function putsOf(length: number): number {
  const items = Array.from({ length }, (_, index) => index);
  const tree = new Tree();
  tree.put(['at'], importValue({ first: items, second: [...items] }, ['at'], tree.generation));
  return [...encodeTree(tree.pin())].reduce((sum, chunk) => sum + Buffer.from(chunk).readUInt32LE(0), 0);
}

it('counts all arrays of an object when it decides whether one put is enough', () => {
  // An item is taken for 8 bytes: together the arrays have more, or less, than a chunk.
  expect([putsOf(SNAPSHOT_CHUNK_BYTES / 16 + 1_000), putsOf(SNAPSHOT_CHUNK_BYTES / 16 - 1_000)]).toEqual([2, 1]);
});

it.each<[string, Value]>([
  ['an array', Array.from({ length: 20_000 }, (_, index) => [[index], { a: 'xyz' }])],
  ['a record with an array', { n: 1, list: Array.from({ length: 20_000 }, (_, index) => [index, 'abcdefg']) }],
])('A chunk with %s that is long is built in steps', (_, value) => {
  const tree = new Tree();
  tree.put(['a'], importValue({ b: 1 }, [], tree.generation));
  tree.put(['long'], importValue(value, [], tree.generation));
  const [whole, stepped] = [new SnapshotBuilder(), new SnapshotBuilder()];
  let pauses = 0;
  for (const chunk of encodeTree(tree.pin())) {
    whole.add(chunk);
    pauses += [...stepped.addSteps(chunk)].length;
  }
  expect(pauses).toBeGreaterThan(5);
  const header = { digest: tree.digest() } as SnapshotHeader;
  expect(exportValue(stepped.finish(header).root)).toEqual(exportValue(whole.finish(header).root));
  expect(() => stepped.finish({ digest: '0'.repeat(16) } as SnapshotHeader)).toThrow(/digest/);
});
