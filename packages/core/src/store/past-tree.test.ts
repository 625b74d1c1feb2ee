import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { systemClock } from '../../../../test/support/host.ts';
import { diskStore, framesOf } from '../../../../test/support/stores.ts';
import type { Operation } from '../frames/change-set.ts';
import { readChangeSets } from '../frames/change-set-reader.ts';
import { PathSet } from '../frames/path-set.ts';
import type { Path } from '../tree/path.ts';
import { STEP_MEMBERS } from '../tree/prepared-value.ts';
import type { Value } from '../tree/value.ts';
import { PastTree } from './past-tree.ts';
import { recoverAt } from './recovery.ts';

/** The most bytes of a body that are read between two pauses, and the most operations. */
const STEP_BYTES = 16 * 1024;
const STEP_OPERATIONS = 256;

const GROUPS = 200;
const FIELDS = 200;
const giant: Value = Object.fromEntries(
  Array.from({ length: GROUPS }, (_, group) => [
    `group${group}`,
    Object.fromEntries(Array.from({ length: FIELDS }, (__, field) => [`field${field}`, group * FIELDS + field])),
  ]),
);

function setOf(path: Path): PathSet {
  const set = new PathSet();
  set.add(path);
  return set;
}

/** Runs steps to their end. @returns how many there were */
function count(steps: Iterable<void>): number {
  return Array.from(steps).length;
}

/** A clock on which every loop has had its share of the turn after each step, and which counts the turns. */
function countedClock() {
  let [turns, now] = [0, 0];
  const clock = {
    ...systemClock,
    monotonic: () => (now += 1_000),
    soon: (task: () => void) => {
      turns++;
      systemClock.soon(task);
    },
  };
  return { clock, turns: () => turns };
}

describe('a tree as it was', () => {
  it.each([
    ['whole', undefined],
    ['at the path of the value', setOf(['giant'])],
    ['at a path in the value', setOf(['giant', 'group7'])],
    ['at a path beside the value, which is read over', setOf(['beside'])],
  ])('is read in short steps also where one value is huge: %s', async (_, set) => {
    const { store } = await diskStore(new FaultDisk());
    store.put('/giant', giant);
    store.put('/giant/group7', { field: 7 });
    await store.flush();
    const tree = new PastTree(set);
    const frames = await framesOf(store.journal);
    for (const frame of frames) {
      expect(count(tree.addFrame(frame))).toBeGreaterThanOrEqual(Math.floor(frame.bytes.length / (STEP_BYTES + 1_024)));
      tree.assertDigest(frame.header.digest);
    }
    expect(frames.some(({ bytes }) => bytes.length > 4 * STEP_BYTES)).toBe(true);
    expect(tree.get(['giant', 'group7'])).toEqual(set?.root.children.has('beside') === true ? undefined : { field: 7 });
    if (set === undefined) expect(tree.digestAt([])).toBe(store.digest);
    await store.close();
  });

  it.each([
    ['whole', undefined],
    ['a part of it', setOf(['giant', 'group7'])],
  ])('is built from the chunks of a snapshot in short steps: %s', async (_, set) => {
    const { store } = await diskStore(new FaultDisk());
    store.put('/giant', giant);
    const { position } = await store.saveSnapshot();
    const snapshot = (await store.journal.snapshots.newest(position))!;
    const tree = new PastTree(set);
    tree.begin(snapshot.header);
    let longest = 0;
    for await (const chunk of snapshot.chunks()) {
      longest = Math.max(longest, chunk.length);
      expect(count(tree.addChunk(chunk))).toBeGreaterThanOrEqual(Math.floor(chunk.length / (STEP_BYTES + 1_024)));
    }
    expect(longest).toBeGreaterThan(4 * STEP_BYTES);
    tree.assertDigest(snapshot.header.digest);
    expect(tree.get(['giant', 'group7', 'field9'])).toBe(7 * FIELDS + 9);
    await store.close();
  });
});

describe('a huge value of the past', () => {
  it.each([
    ['whole', undefined],
    ['at the path of the value', setOf(['list'])],
  ])('is put in short steps, and becomes what it becomes at once: %s', (_, set) => {
    const value = Array.from({ length: 10_000 }, (__, index) => ({ index, inner: [index] }));
    const [slowly, atOnce] = [new PastTree(set), new PastTree(set)];
    const put: Operation = { type: 'put', path: ['list', 'here'], value };
    expect(count(slowly.applyInSteps(put))).toBeGreaterThan((3 * value.length) / STEP_MEMBERS);
    atOnce.apply(put);
    expect(slowly.get(['list'])).toEqual({ here: value });
    expect(slowly.digestAt([])).toBe(atOnce.digestAt([]));
    count(slowly.applyInSteps({ type: 'delete', path: ['list', 'here'] }));
    expect(slowly.get(['list'])).toEqual({});
  });

  it.each([
    ['itself', '/list'],
    ['in an object', '/object'],
  ])('that is a long array, %s, is read from a frame in short steps', async (_, path) => {
    const { store } = await diskStore(new FaultDisk());
    const list: Value = Array.from({ length: 30_000 }, (__, index) => (index % 2 === 0 ? { index } : [index, 'x']));
    store.put(path, path === '/list' ? list : { before: 1, list, after: {} });
    await store.flush();
    const tree = new PastTree();
    for (const frame of await framesOf(store.journal)) {
      expect(count(tree.addFrame(frame))).toBeGreaterThanOrEqual(Math.floor(frame.bytes.length / (STEP_BYTES + 1_024)));
      tree.assertDigest(frame.header.digest);
    }
    expect(tree.digestAt([])).toBe(store.digest);
    await store.close();
  });

  it('is refused in steps as it is at once', () => {
    const tree = new PastTree();
    tree.apply({ type: 'put', path: ['leaf'], value: 1 });
    const through: Operation = { type: 'put', path: ['leaf', 'below'], value: {} };
    expect(() => count(tree.applyInSteps(through))).toThrow('leads through');
    expect(tree.get([])).toEqual({ leaf: 1 });
  });

  it('is told in short steps: as it stands in a tree, and as a change set puts it', async () => {
    const { store } = await diskStore(new FaultDisk());
    store.put('/giant', giant);
    store.put('/leaf', 1);
    await store.flush();
    const tree = new PastTree();
    let pauses = 0;
    const operations: Operation[] = [];
    for (const frame of await framesOf(store.journal)) {
      count(tree.addFrame(frame));
      for (const changeSet of readChangeSets(frame, setOf([]))) {
        if (changeSet === undefined) pauses++;
        else operations.push(...changeSet.operations);
      }
    }
    expect(operations).toEqual([
      { type: 'put', path: ['giant'], value: giant },
      { type: 'put', path: ['leaf'], value: 1 },
    ]);
    expect(pauses).toBeGreaterThanOrEqual(GROUPS);
    const steps = tree.getInSteps(['giant']);
    let told = steps.next();
    for (pauses = 0; told.done !== true; told = steps.next()) pauses++;
    expect(told.value).toEqual(giant);
    expect(pauses).toBeGreaterThanOrEqual(GROUPS);
    await store.close();
  });
});

describe('a tree that is recovered at an earlier position', () => {
  it.each(['binary', 'json'] as const)('gives the event loop turns also within a frame: %s', async encoding => {
    const { store } = await diskStore(new FaultDisk(), { encoding });
    const operations = 5_000;
    store.put('/leaves/first', true);
    store.cut();
    store.transact(tx => {
      for (let leaf = 0; leaf < operations; leaf++) tx.put(['leaves', `leaf${leaf}`], leaf);
    });
    store.cut();
    await store.flush();
    const { position, digest } = store;
    store.put('/later', 1);
    await store.flush();
    const { clock, turns } = countedClock();
    const { tree } = await recoverAt(store.journal, position, clock);
    expect(tree.digest()).toBe(digest);
    expect(turns()).toBeGreaterThanOrEqual(Math.floor(operations / STEP_OPERATIONS));
    await store.close();
  });
});
