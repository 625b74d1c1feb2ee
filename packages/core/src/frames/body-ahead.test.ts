import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ORIGIN } from '../position.ts';
import { exportValue, importValue } from '../tree/content.ts';
import { hashKey, lanes } from '../tree/digest.ts';
import type { TreeNode } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { RecentChildren } from '../tree/recent-children.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { BodyAhead } from './body-ahead.ts';
import { applyFrame } from './frame-application.ts';
import { FrameWriter } from './frame-writer.ts';
import { frameBody, NO_CHAIN, type Frame } from './frame.ts';

type Change = readonly [path: Path, value: Value | undefined];

/** Makes changes, a change set each, and the frame that tells of them. */
function change(tree: Tree, revision: number, changes: readonly Change[]): Frame {
  const writer = new FrameWriter('binary', revision);
  for (const [path, value] of changes) {
    const child = value === undefined ? undefined : importValue(value, path, tree.generation);
    writer.changeSet(revision, undefined, undefined, 1);
    if (child === undefined) tree.delete(path);
    else tree.put(path, child);
    writer.body.operation(tree.trail, path, child);
  }
  return writer.seal({ stream: 'f'.repeat(32), last: { ...ORIGIN, revision }, chain: NO_CHAIN }, tree.digest());
}

function hashOf(key: string): number {
  hashKey(key);
  return lanes.lo;
}

/** Not all of them are of ASCII characters. */
function keyOf(index: number): string {
  return index % 7 === 0 ? `Gerät ${index}` : `device ${index}`;
}

describe('what comes next in a body', () => {
  test('is found: the keys that are named below a node', () => {
    const values: readonly Value[] = [1, -300, 0.5, 'text', null, true];
    const keys = values.map((_, index) => `key-${index}`);
    const frame = change(
      new Tree(),
      0,
      keys.map((key, index) => [['above', key, 'leaf'], values[index]!]),
    );
    const ahead = new BodyAhead();
    // The first object that a frame names below the root has the number 2.
    expect(ahead.look(frameBody(frame), 0, keys.length, 2)).toBe(keys.length);
    expect([...ahead.hashes.subarray(0, keys.length)]).toEqual(keys.map(hashOf));
    expect(ahead.look(frameBody(frame), 0, 3, 2)).toBe(3);
    expect(ahead.look(frameBody(frame), 0, keys.length, 9)).toBe(0);
  });

  test('is looked for without end or error in whatever bytes', () => {
    const ahead = new BodyAhead();
    fc.assert(
      fc.property(fc.uint8Array({ max: 40, maxLength: 300 }), fc.nat(3), fc.nat(300), (body, node, at) => {
        const found = ahead.look(body, at, 32, node);
        expect(found).toBeLessThanOrEqual(ahead.hashes.length);
      }),
    );
    // A key that would be longer than any body.
    expect(ahead.look(Uint8Array.of(1, 0, 1, 0, 255, 255, 255, 255, 255, 255, 7, 65), 0, 32, 1)).toBe(0);
    // One change set that names more keys than a look finds.
    const names = Array.from({ length: 100 }, () => [0, 1, 0, 1, 65]).flat();
    expect(ahead.look(Uint8Array.from([1, ...names, 1, 1, 3]), 0, 32, 1)).toBe(ahead.hashes.length);
  });
});

test('frames that name many children of a large object lead to the same tree', () => {
  const primary = new Tree();
  const secondary = new Tree();
  const fill = Array.from({ length: 9_000 }, (_, index): Change => [['all', keyOf(index), 'a'], index]);
  let revision = fill.length;
  applyFrame(secondary, change(primary, revision, fill), undefined);
  for (let round = 0; round < 6; round++) {
    const changes = Array.from({ length: 2_000 }, (_, index): Change => {
      const path = ['all', keyOf((index * 31 + round * 17) % 9_000)];
      if (index % 10 === 8) return [path, round % 2 === 0 ? { a: 1, b: { c: index } } : index];
      if (index % 10 === 9) return [path, undefined];
      return [[...path, 'b'], round];
    }).filter(([path]) => path.length === 2 || typeof primary.get(path.slice(0, 2)) !== 'number');
    revision += changes.length;
    // Another copy of each node, as behind a snapshot.
    if (round === 3) secondary.pin();
    applyFrame(secondary, change(primary, revision, changes), undefined);
  }
  expect(exportValue(secondary.root)).toEqual(exportValue(primary.root));
});

test('children of a large object that were lately reached are found ahead, under their own keys', () => {
  const primary = new Tree();
  const secondary = new Tree();
  const fill = Array.from({ length: 9_000 }, (_, index): Change => [['all', keyOf(index), 'a'], index]);
  let revision = fill.length;
  applyFrame(secondary, change(primary, revision, fill), undefined);
  const found = new Map<string, TreeNode>();
  const list = Reflect.get(RecentChildren.prototype, 'list') as RecentChildren<TreeNode>['list'];
  const spy = vi.spyOn(RecentChildren.prototype, 'list').mockImplementation(function (this: RecentChildren<TreeNode>, ...asked) {
    list.apply(this, asked);
    const [, count, keys, children] = asked;
    for (let at = 0; at < count; at++) if (keys[at] !== undefined) found.set(keys[at]!, children[at] as TreeNode);
  });
  for (let round = 0; round < 4; round++) {
    const changes = Array.from({ length: 640 }, (_, index): Change => [['all', keyOf(index * 7 + 1), 'a'], round]);
    revision += changes.length;
    applyFrame(secondary, change(primary, revision, changes), undefined);
  }
  spy.mockRestore();
  // Those of the first look are named before it is known which object is the large one.
  expect(found.size).toBeGreaterThan(500);
  for (const [key, child] of found) expect(secondary.get(['all', key])).toBe(child);
});
