import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scene, tell } from '../../test/scene.ts';
import type { Batch } from './batch.ts';
import { exportValue, importValue, sameValue } from '../tree/content.ts';
import { MERGED_OPERATIONS_LIMIT, WAITING_BYTES_LIMIT, WAITING_OPERATIONS_LIMIT } from './listener-queue.ts';
import type { Clock } from '../seams/host.ts';
import { differenceSteps, toOperations } from '../transactions/net-operations.ts';
import { TreeNode } from '../tree/node.ts';
import { any, parsePattern } from './pattern.ts';
import { getFrom, type Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { finishSteps } from '../turn.ts';

/** A listener that is held up in its first batch until it is let go. */
function heldListener(scene: Scene, pattern: string): { readonly batches: Batch[]; readonly letGo: () => void } {
  const batches: Batch[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  scene.listen(pattern, batch => (batches.push(batch) === 1 ? promise : undefined));
  return { batches, letGo: resolve };
}

describe('a modification', () => {
  it('makes its values once, when they are read, and keeps them while the tree changes', async () => {
    const scene = new Scene({ a: { b: 1, list: [{ c: 1 }] } });
    const batches: Batch[] = [];
    scene.listen('/a', batch => void batches.push(batch));
    scene.commit(['/a/b', 2]);
    await scene.settle();
    scene.commit(['/a/b', 3], ['/a/list', []]);
    const [initial, change] = batches.map(batch => batch.changes[0]!);
    expect(change!.before).toStrictEqual({ b: 1, list: [{ c: 1 }] });
    expect(change!.after).toStrictEqual({ b: 2, list: [{ c: 1 }] });
    expect(change!.after).toBe(change!.after);
    expect(initial!.after).toStrictEqual({ b: 1, list: [{ c: 1 }] });
    expect(initial!.operations).toStrictEqual([]);
  });

  it('can be made into JSON, spread and compared', async () => {
    const scene = new Scene();
    const batches: Batch[] = [];
    scene.listen('/n', batch => void batches.push(batch));
    scene.commit(['/n', { a: 1 }]);
    await scene.settle();
    const expected = { path: '/n', segments: ['n'], type: 'write', before: undefined, after: { a: 1 } };
    expect({ ...batches[1]!.changes[0] }).toMatchObject(expected);
    expect(JSON.parse(JSON.stringify(batches[1]))).toMatchObject({ initial: false, changes: [JSON.parse(JSON.stringify(expected))] });
  });

  it('of a path inside an array has the values before and after', async () => {
    const scene = new Scene({ list: [{ n: 1 }, 2] });
    const batches: Batch[] = [];
    scene.listen('/list/0/n', batch => void batches.push(batch));
    scene.commit(['/list', [{ n: 1 }, 3]]);
    scene.commit(['/list', [{ n: 2 }, 3]]);
    scene.commit(['/list', { 0: { n: 2 } }]);
    scene.commit(['/list', []]);
    await scene.settle();
    expect(batches.flatMap(tell)).toEqual([
      ['write', '/list/0/n', undefined, 1],
      ['write', '/list/0/n', 1, 2],
      ['delete', '/list/0/n', 2, undefined],
    ]);
  });

  it('that a wildcard matches is gone when an array with such an item takes the place of its object', async () => {
    const scene = new Scene({ n: { 0: 1 } });
    const batches: Batch[] = [];
    scene.listen('/n/*', batch => void batches.push(batch));
    scene.commit(['/n', [1]]);
    scene.commit(['/n', [2]]);
    scene.commit(['/n', { 0: 2 }]);
    await scene.settle();
    expect(batches.flatMap(tell)).toEqual([
      ['write', '/n/0', undefined, 1],
      ['delete', '/n/0', 1, undefined],
      ['write', '/n/0', undefined, 2],
    ]);
  });
});

describe('merged batches', () => {
  it('keep the initial one by itself', async () => {
    const scene = new Scene({ n: 0 }, 1);
    const batches: Batch[] = [];
    scene.listen('/n', batch => void batches.push(batch));
    for (let n = 1; n <= 50; n++) scene.commit(['/n', n]);
    await scene.settle();
    expect(batches.map(({ initial, merged, from, position }) => [initial, merged, from.revision, position.revision])).toEqual([
      [true, 0, 0, 0],
      [false, 50, 0, 50],
    ]);
    expect(batches.flatMap(tell)).toEqual([
      ['write', '/n', undefined, 0],
      ['write', '/n', 0, 50],
    ]);
  });

  it('leave out what is again as it was, and are not delivered if nothing is left', async () => {
    const scene = new Scene({ a: { n: 0, m: 0 } }, 1);
    const { batches, letGo } = heldListener(scene, '/a/*');
    await scene.settle();
    for (const n of [1, 2, 0]) scene.commit(['/a/n', n], ['/a/made', n]);
    scene.commit(['/a/made']);
    letGo();
    await scene.settle();
    expect(batches).toHaveLength(1);
    scene.commit(['/a/m', 1]);
    await scene.settle();
    expect(batches.slice(1).flatMap(tell)).toEqual([['write', '/a/m', 0, 1]]);
  });

  it('are writes if an operation replaced the value, and otherwise modifications below it', async () => {
    const scene = new Scene({ a: { x: { n: 0 } }, b: { x: { n: 0 } }, c: { x: { n: 0 } } }, 1);
    const { batches, letGo } = heldListener(scene, '/*/x');
    await scene.settle();
    scene.commit(['/a/x/n', 1], ['/b/x/n', 1], ['/c/x/n', 1]);
    scene.commit(['/b/x']);
    scene.commit(['/c', { x: { n: 1 } }]);
    scene.commit(['/b/x/n', 2]);
    letGo();
    await scene.settle();
    const merged = batches[1]!.changes;
    expect(Object.fromEntries(merged.map(({ path, type }) => [path, type]))).toEqual({
      '/a/x': 'subtree-modified',
      '/b/x': 'write',
      '/c/x': 'write',
    });
    const operations = merged.map(change => change.operations!.map(({ type, path }) => `${type} ${path.join('/')}`));
    expect(operations).toEqual([['put a/x/n'], ['put b/x/n', 'delete b/x', 'put b/x/n'], ['put c/x/n', 'put c']]);
  });

  it('leave out operations when there are too many, and have exact values all the same', async () => {
    const width = 500;
    const devices = Object.fromEntries(Array.from({ length: width }, (_, index) => [`d${index}`, { up: 0, name: 'x' }]));
    const scene = new Scene({ devices, other: 1 }, 10);
    const { batches, letGo } = heldListener(scene, '/devices/*');
    await scene.settle();
    for (let round = 1; round <= 3; round++) {
      for (let index = 0; index * 2 < MERGED_OPERATIONS_LIMIT; index += 1) scene.commit([`/devices/d${(index * 7) % 300}/up`, round]);
    }
    scene.commit(['/devices/d499']);
    scene.commit(['/devices/new', 1]);
    letGo();
    await scene.settle();
    const told = new Map(batches.slice(1).flatMap(batch => batch.changes.map(change => [change.path, change])));
    expect(told.size).toBe(302);
    expect(told.get('/devices/d7')).toMatchObject({ type: 'write', after: { up: 3, name: 'x' }, operations: undefined });
    expect(told.get('/devices/d499')).toMatchObject({ type: 'delete', before: { up: 0, name: 'x' }, after: undefined });
    expect(told.get('/devices/new')).toMatchObject({ type: 'write', before: undefined, after: 1 });
  });

  it.each([
    [
      'operations',
      (scene: Scene) =>
        scene.commit(...Array.from({ length: WAITING_OPERATIONS_LIMIT / 4 }, (_, n) => [`/a/k${n}`, scene.revision] as const)),
    ],
    ['bytes', (scene: Scene) => scene.commitOf(WAITING_BYTES_LIMIT / 4, ['/a/n', scene.revision])],
  ])('are made early of batches with many %s', async (_, commit) => {
    const scene = new Scene({ a: {} });
    const { batches, letGo } = heldListener(scene, '/a');
    await scene.settle();
    for (let n = 0; n < 6; n++) commit(scene);
    letGo();
    await scene.settle();
    expect(batches.map(batch => batch.merged)).toEqual([0, 5, 1]);
    expect(batches[1]!.changes[0]!.operations).toBeUndefined();
    expect(scene.reports.map(report => report.event)).toEqual(['listener-behind']);
  });

  it('hold a bounded amount for a listener that never returns, whatever is committed', async () => {
    const scene = new Scene({ sessions: {} }, 100);
    const { batches } = heldListener(scene, '/sessions/*');
    await scene.settle();
    const commitMany = (count: number): void => {
      for (let n = 0; n < count; n++) {
        const path = `/sessions/s${scene.revision}`;
        scene.commit([path, { user: `u${n}`, at: n }]);
        scene.commit([path]);
      }
    };
    commitMany(10_000);
    const before = usedHeapBytes();
    commitMany(60_000);
    // 120,000 commits: kept, they would take some 100 MiB.
    expect(usedHeapBytes() - before).toBeLessThan(16 * 1024 * 1024);
    expect(batches).toHaveLength(1);
  });
});

/** After a full collection. */
function usedHeapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('a listener that is slow without a promise', () => {
  it('lets the event loop turn between its batches', () => {
    let nowMs = 0;
    const due: (() => void)[] = [];
    const clock: Clock = {
      now: () => nowMs,
      monotonic: () => nowMs,
      soon: task => void due.push(task),
      after: () => ({ [Symbol.dispose]: () => undefined }),
    };
    const scene = new Scene({}, 1_000, clock);
    const seen: number[] = [];
    scene.listen('/n', batch => {
      seen.push(batch.position.revision);
      nowMs += 2;
    });
    for (let n = 1; n <= 10; n++) scene.commit(['/n', n]);
    const turns: number[] = [];
    while (due.length > 0) {
      due.shift()!();
      turns.push(seen.length);
    }
    expect(turns).toEqual([3, 6, 9, 11]);
  });
});

/** One of them is an item of an array, too. */
const KEYS = ['a', 'b', 'c', '0'];

describe('the batches of any listener', () => {
  const key = fc.constantFrom(...KEYS);
  const value = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.constant({}),
    fc.constant({ a: 1 }),
    fc.constant({ a: { b: 2 }, c: 3 }),
    fc.constant({ 0: { a: 1 } }),
    fc.constant([1]),
    fc.constant([{ a: 1 }]),
  );
  const commits = fc.array(
    fc.array(fc.tuple(fc.array(key, { minLength: 1, maxLength: 3 }), fc.option(value, { nil: undefined })), { minLength: 1, maxLength: 3 }),
    { maxLength: 20 },
  );
  const patterns = ['', '/a', '/a/b', '/*', '/*/b', '/a/*', '/*/*'];

  it.each([
    [1_000, 0],
    [1, 0],
    [2, 0],
    [2, WAITING_BYTES_LIMIT],
  ])('lead from the initial one to what stands there, %i at most waiting, of %i bytes each', async (batchLimit, bytes) => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...patterns), commits, fc.integer({ min: 1, max: 6 }), async (pattern, all, settleEvery) => {
        const scene = new Scene({ a: { b: 0 } }, batchLimit);
        const seen = new Map<string, Value>();
        let position = -1;
        scene.listen(pattern, batch => {
          expect(batch.position.revision).toBeGreaterThanOrEqual(position);
          position = batch.position.revision;
          for (const { path, type, before, after } of batch.changes) {
            expect(type === 'delete').toBe(after === undefined);
            if (type === 'subtree-modified') expect([typeof before, typeof after]).toEqual(['object', 'object']);
            expect(sameValue(before, seen.get(path))).toBe(true);
            if (after === undefined) seen.delete(path);
            else seen.set(path, after);
          }
        });
        for (const [index, commit] of all.entries()) {
          // As a transaction does it: the net difference, whatever the way.
          const before = scene.tree.pin();
          for (const [path, item] of commit) attempt(scene.tree, path, item);
          const after = scene.tree.pin();
          scene.revision++;
          const operations = toOperations(finishSteps(differenceSteps(before, after)));
          const from = { epoch: 1, revision: index };
          scene.listeners.notify(operations, { before, after, from, position: scene.position, time: 0, bytes });
          if (index % settleEvery === 0) await scene.settle();
        }
        await scene.settle();
        expect(scene.reports.filter(report => report.event === 'listener-threw')).toEqual([]);
        const present = new Map<string, Value>();
        collect(scene.tree.root, parsePattern(pattern), [], present);
        expect([...seen.keys()].toSorted()).toEqual([...present.keys()].toSorted());
        for (const [path, item] of present) expect(sameValue(seen.get(path), item)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

function attempt(tree: Tree, path: string[], item: unknown): void {
  try {
    if (item === undefined) tree.delete(path);
    else tree.put(path, importValue(item, path, tree.generation));
  } catch {
    // Through a leaf: refused.
  }
}

function collect(root: TreeNode, pattern: readonly (string | typeof any)[], path: string[], into: Map<string, Value>): void {
  const at = getFrom(root, path);
  if (at === undefined) return;
  if (path.length === pattern.length) {
    into.set(path.map(segment => `/${segment}`).join(''), at instanceof TreeNode ? exportValue(at) : at);
    return;
  }
  const segment = pattern[path.length]!;
  if (segment !== any) collect(root, pattern, [...path, segment], into);
  else if (at instanceof TreeNode) for (const key of KEYS) collect(root, pattern, [...path, key], into);
}
