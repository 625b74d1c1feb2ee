import { expect, test } from 'vitest';
import { HAS_BELOW, HAS_VALUE, makeNetChanges, NET_DEPTH_LIMIT, NET_KEY_SHIFT } from './net-changes.ts';
import { TRUE } from './binary-format.ts';
import { Tree } from '../tree/tree.ts';

/** Changes that put `true` at a path of so many segments "a". */
function putBelow(segments: number): Buffer {
  const again = 1 << NET_KEY_SHIFT;
  const heads = Array.from({ length: segments - 1 }, (_, level) => (level === 0 ? [HAS_BELOW, 1, 0x61] : [again | HAS_BELOW]));
  return Buffer.from([...heads.flat(), again | HAS_VALUE, TRUE, ...Array.from({ length: segments }, () => 0)]);
}

/** A key that is spelled, and what is said of its child. */
function spelled(key: string, flags: number): number[] {
  return [flags, Buffer.byteLength(key), ...Buffer.from(key)];
}

test.each([2, NET_DEPTH_LIMIT - 1, NET_DEPTH_LIMIT])('gathered changes are made at a path of %i segments', segments => {
  const tree = new Tree();
  makeNetChanges(tree, { last: 1, operations: 1, body: putBelow(segments) });
  const path = Array.from({ length: segments }, () => 'a');
  expect(tree.get(path)).toBe(true);
  const other = new Tree();
  other.put(path, true);
  expect(tree.digest()).toBe(other.digest());
});

test.each([NET_DEPTH_LIMIT + 1, 1_000_000])('gathered changes at a path of %i segments are malformed', segments => {
  const body = putBelow(segments);
  expect(() => makeNetChanges(new Tree(), { last: 1, operations: 1, body })).toThrow('a path that is too deep');
});

test('gathered changes find the keys of a wide node, and add others', () => {
  const keys = Array.from({ length: 300 }, (_, index) => `key ${index} é🌲`);
  const [tree, other] = [new Tree(), new Tree()];
  for (const key of keys.slice(0, 200)) tree.put(['wide', key], false);
  const changes = keys.slice(100).flatMap(key => [...spelled(key, HAS_VALUE), TRUE]);
  const body = Buffer.from([...spelled('wide', HAS_BELOW), ...changes, 0, 0]);
  makeNetChanges(tree, { last: 1, operations: 200, body });
  for (const [index, key] of keys.entries()) other.put(['wide', key], index >= 100);
  expect(tree.digest()).toBe(other.digest());
  expect(tree.get(['wide', keys[150]!])).toBe(true);
});

test('gathered changes are for good: nothing is left that would take them back', () => {
  const tree = new Tree();
  makeNetChanges(tree, { last: 1, operations: 1, body: putBelow(3) });
  expect(tree.undo.empty).toBe(true);
});

test('gathered changes with something behind them are malformed', () => {
  const body = Buffer.concat([putBelow(3), Buffer.from([0])]);
  expect(() => makeNetChanges(new Tree(), { last: 1, operations: 1, body })).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }));
});

test('gathered changes below objects that were changed before give the digest of the whole', () => {
  const [tree, other] = [new Tree(), new Tree()];
  for (const each of [tree, other]) {
    each.put(['a', 'x', 'y', 'z'], true);
    each.put(['a', 'a', 'a', 'b'], true);
  }
  makeNetChanges(tree, { last: 1, operations: 1, body: putBelow(2) });
  tree.put(['a', 'x', 'y', 'w'], true);
  other.put(['a', 'a'], true);
  other.put(['a', 'x', 'y', 'w'], true);
  expect(tree.digest()).toBe(other.digest());
});
