import { any, type Batch, type Frame, type PatternLike, type Report, type Store, type Transaction, type Value } from '@evertree/core';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { memoryStore } from '../support/stores.ts';
import { expectErrors } from '../support/reports.ts';

type Telling = readonly [type: string, path: string, before: Value | undefined, after: Value | undefined];

const WAIT = { timeout: 10_000, interval: 1 };

/** A primary, and the store that is listened to: itself, or a secondary that applies its frames. */
class Scene implements AsyncDisposable {
  readonly primary: Store;
  readonly watched: Store;
  readonly reports: readonly Report[];
  #applied: Frame | undefined;

  constructor(primary: Store, watched: Store, reports: readonly Report[]) {
    this.primary = primary;
    this.watched = watched;
    this.reports = reports;
  }

  static async open(where: string, listenerBatches = 1_000): Promise<Scene> {
    const encoding = where.endsWith('json') ? 'json' : 'binary';
    const limits = { listenerBatches };
    const primary = await memoryStore({ encoding, limits });
    if (where === 'primary') return new Scene(primary.store, primary.store, primary.reports);
    const secondary = await memoryStore({ role: 'secondary', site: 'other', limits });
    return new Scene(primary.store, secondary.store, secondary.reports);
  }

  /** Lets the watched store have what the primary committed. */
  async replicate(): Promise<void> {
    if (this.watched === this.primary) return;
    this.primary.cut();
    const { journal } = this.primary;
    const reader = journal.log.read(this.#applied?.header.last ?? journal.log.base);
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
      this.watched.applyFrame(stored.frame);
      this.#applied = stored.frame;
    }
    await reader.close();
  }

  /**
   * Resolves when a listener that is registered now has had its first batch: those before it have had what waited for
   * them.
   */
  async settle(): Promise<void> {
    await this.replicate();
    for (let round = 0; round < 3; round++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      using _ = this.watched.listen('/settle', () => resolve());
      await promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.primary.close();
    await this.watched.close();
  }
}

function tell(batch: Batch): Telling[] {
  return batch.changes
    .map(({ type, path, before, after }): Telling => [type, path, before, after])
    .toSorted(([, a], [, b]) => (a < b ? -1 : 1));
}

const START = { devices: { r1: { up: true, mtu: 1500, tags: ['a'] }, r2: { up: false } }, other: 1 };
const R1 = START.devices.r1;

/** What MD-SAL's DOMDataTreeChangeListener is told, by the operations of this store. */
const CASES: [string, PatternLike, (store: Store) => unknown, Telling[]][] = [
  ['a put that replaces the place', '/devices/r1', s => s.put('/devices/r1', { up: 1 }), [['write', '/devices/r1', R1, { up: 1 }]]],
  ['a put of the same value', '/devices/r1', s => s.put('/devices/r1', { ...R1 }), []],
  ['a put below', '/devices/r2', s => s.put('/devices/r2/up', 1), [['subtree-modified', '/devices/r2', { up: false }, { up: 1 }]]],
  ['a put that makes the place', '/new', s => s.put('/new/deep/er', 1), [['write', '/new', undefined, { deep: { er: 1 } }]]],
  ['a put above', '/devices/r1/up', s => s.put('/devices', { r1: { up: 1 } }), [['write', '/devices/r1/up', true, 1]]],
  ['a put above, of the same', '/devices/r1/up', s => s.put('/devices', { r1: { up: true } }), []],
  [
    'a put above that leaves it out',
    '/devices/r2',
    s => s.put('/devices', { r1: 1 }),
    [['delete', '/devices/r2', { up: false }, undefined]],
  ],
  ['a put beside', '/devices/r1', s => s.put('/devices/r2/up', 1), []],
  [
    'a put of an array below',
    '/devices/r1',
    s => s.put('/devices/r1/tags', []),
    [['subtree-modified', '/devices/r1', R1, { ...R1, tags: [] }]],
  ],
  ["a leaf in a leaf's place", '/other', s => s.put('/other', 2), [['write', '/other', 1, 2]]],
  ["an object in a leaf's place", '/other', s => s.put('/other', { n: 2 }), [['write', '/other', 1, { n: 2 }]]],
  ['a delete', '/devices/r2', s => s.delete('/devices/r2'), [['delete', '/devices/r2', { up: false }, undefined]]],
  ['a delete above', '/devices/r2/up', s => s.delete('/devices'), [['delete', '/devices/r2/up', false, undefined]]],
  ['a delete below', '/devices/r2', s => s.delete('/devices/r2/up'), [['subtree-modified', '/devices/r2', { up: false }, {}]]],
  ['a delete of what is absent', '/devices/r3', s => s.delete('/devices/r3'), []],
  ['a delete of everything', '', s => s.delete(''), [['write', '', START, {}]]],
  [
    'a merge',
    '/devices/r2',
    s => s.merge('/devices', { r2: { mtu: 1 }, r3: {} }),
    [['subtree-modified', '/devices/r2', { up: false }, { up: false, mtu: 1 }]],
  ],
  ['a merge that deletes', '/devices/*', s => s.merge('/devices', { r2: null }), [['delete', '/devices/r2', { up: false }, undefined]]],
  [
    'an update',
    '/devices/r1/*',
    s => s.update<typeof R1>('/devices/r1', d => void (d.tags.push('b'), (d.mtu = 9000))),
    [
      ['write', '/devices/r1/mtu', 1500, 9000],
      ['write', '/devices/r1/tags', ['a'], ['a', 'b']],
    ],
  ],
  [
    'a patch',
    '/devices/r1',
    s =>
      s.patch('/devices', [
        { op: 'add', path: '/r1/tags/-', value: 'b' },
        { op: 'remove', path: '/r1/up' },
      ]),
    [['subtree-modified', '/devices/r1', R1, { mtu: 1500, tags: ['a', 'b'] }]],
  ],
  [
    'an import',
    '/devices/*',
    s => s.replace('', { ...START, devices: { ...START.devices, r2: { up: 2 } } }),
    [['subtree-modified', '/devices/r2', { up: false }, { up: 2 }]],
  ],
  [
    'a transaction, as one',
    '/devices/*/up',
    s => s.transact(tx => (tx.put('/devices/r1/up', 1), tx.delete('/devices/r2'), tx.put('/devices/r3/up', 3))),
    [
      ['write', '/devices/r1/up', true, 1],
      ['delete', '/devices/r2/up', false, undefined],
      ['write', '/devices/r3/up', undefined, 3],
    ],
  ],
  [
    'a transaction that replaces, then changes',
    '/devices/r2',
    s => s.transact(tx => (tx.put('/devices/r2', { a: 1 }), tx.put('/devices/r2/b', 2))),
    [['write', '/devices/r2', { up: false }, { a: 1, b: 2 }]],
  ],
  [
    'a transaction that deletes and makes again',
    '/devices/r2',
    s => s.transact(tx => (tx.delete('/devices'), tx.put('/devices/r2/up', 1))),
    [['write', '/devices/r2', { up: false }, { up: 1 }]],
  ],
  [
    'a transaction that takes back',
    '/devices/r2',
    s => s.transact(tx => (tx.put('/devices/r2/up', 1), tx.put('/devices/r2/up', false), tx.put('/n', 1))),
    [],
  ],
  ['an element of an array', '/devices/r1/tags/0', s => s.put('/devices/r1/tags', ['b', 'c']), [['write', '/devices/r1/tags/0', 'a', 'b']]],
  ['any key, twice', '/*/*/up', s => s.put('/devices/r2/up', 1), [['write', '/devices/r2/up', false, 1]]],
  ['a key named *', ['devices', '*'], s => s.merge('/devices', { '*': 1, r2: 2 }), [['write', '/devices/*', undefined, 1]]],
  [
    'any key, in an array of segments',
    ['devices', any, 'mtu'],
    s => s.delete('/devices/r1'),
    [['delete', '/devices/r1/mtu', 1500, undefined]],
  ],
  ['keys that a pointer escapes', ['a/b', any, '~'], s => s.put(['a/b', '', '~'], 1), [['write', '/a~1b//~0', undefined, 1]]],
];

describe.each(['primary', 'secondary, binary', 'secondary, json'])('a listener at a %s', where => {
  it.each(CASES)('is called with %s', async (_, pattern, commit, expected) => {
    await using scene = await Scene.open(where);
    scene.primary.put('', START);
    await scene.replicate();
    const batches: Batch[] = [];
    scene.watched.listen(pattern, batch => void batches.push(batch));
    await scene.settle();
    expect(batches.map(({ initial, merged, position }) => [initial, merged, position.revision])).toEqual([[true, 0, 2]]);
    commit(scene.primary);
    await scene.settle();
    expect(batches.slice(1).map(tell)).toEqual(expected.length === 0 ? [] : [expected]);
    if (expected.length > 0) {
      const { epoch } = scene.primary.position;
      expect(batches[1]).toMatchObject({ initial: false, merged: 1, from: { epoch, revision: 2 }, position: { epoch, revision: 3 } });
    }
  });

  it('begins with the present state, once, whenever it is registered', async () => {
    await using scene = await Scene.open(where);
    const listeners: Batch[][] = [];
    for (let n = 1; n <= 20; n++) {
      scene.primary.put('/n', n);
      await scene.replicate();
      const batches: Batch[] = [];
      listeners.push(batches);
      scene.watched.listen('/n', batch => void batches.push(batch));
    }
    await scene.settle();
    for (const [index, batches] of listeners.entries()) {
      expect(batches.map(batch => batch.initial)).toEqual(batches.map((_, at) => at === 0));
      expect(batches.flatMap(batch => batch.changes.map(change => change.after))).toEqual(
        Array.from({ length: 20 - index }, (_, at) => index + 1 + at),
      );
    }
  });

  it('that applies its batches has the present state, with any commits, however slow it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PATTERNS),
        fc.array(commits, { maxLength: 12 }),
        fc.constantFrom(1, 2, 1_000),
        async (pattern, all, limit) => {
          await using scene = await Scene.open(where, limit);
          const seen = new Map<string, Value>();
          let position = 0;
          for (const [index, each] of all.entries()) {
            commitSome(scene.primary, each);
            await scene.replicate();
            if (index !== 2) continue;
            scene.watched.listen(pattern, async batch => {
              expect(batch.from.revision).toBeGreaterThanOrEqual(position);
              position = batch.position.revision;
              for (const { path, before, after } of batch.changes) {
                expect(before).toEqual(seen.get(path));
                if (after === undefined) seen.delete(path);
                else seen.set(path, after);
              }
              await Promise.resolve();
            });
          }
          await scene.settle();
          await vi.waitFor(() => expect(seen).toEqual(all.length > 2 ? matches(scene.watched, pattern) : new Map()), WAIT);
          expect(scene.reports.filter(report => report.event === 'listener-threw')).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

const PATTERNS = ['', '/a', '/a/b', '/*', '/*/b', '/a/*', '/*/*'];
const key = fc.constantFrom('a', 'b', 'c');
const value: fc.Arbitrary<Value> = fc.constantFrom<Value>(0, 1, {}, { a: 1 }, { a: { b: 2 }, b: 3 }, [1], [{ b: 1 }]);
const commits = fc.array(fc.tuple(fc.constantFrom('put', 'merge', 'delete', 'replace'), fc.array(key, { maxLength: 3 }), value), {
  minLength: 1,
  maxLength: 4,
});

function commitSome(store: Store, operations: readonly (readonly [string, readonly string[], Value])[]): void {
  try {
    store.transact((tx: Transaction) => {
      for (const [type, path, item] of operations) {
        if (type === 'delete') tx.delete(path);
        else tx[type as 'put' | 'merge' | 'replace'](path, item);
      }
    });
  } catch (error) {
    // Through a leaf, or a leaf as the root: refused, and nothing changed.
    expect(error).toMatchObject({ code: 'PATH_INVALID' });
  }
}

/** The places that a pattern of the table above matches, looked for by reading. */
function matches(store: Store, pattern: string): Map<string, Value> {
  let paths: string[][] = [[]];
  for (const segment of pattern.split('/').slice(1)) {
    paths = paths.flatMap(path => (segment === '*' ? objectKeys(store.get(path)) : [segment]).map(each => [...path, each]));
  }
  const found = paths.map(path => [path.map(each => `/${each}`).join(''), store.get(path)] as const);
  return new Map(found.filter((entry): entry is [string, Value] => entry[1] !== undefined));
}

function objectKeys(at: Value | undefined): string[] {
  return typeof at === 'object' && at !== null && !Array.isArray(at) ? Object.keys(at) : [];
}

const failure = new Error('of a listener');

function fail(): never {
  throw failure;
}

describe('listeners of a store', () => {
  it('may commit: each commit makes a batch of its own, after the present one', async () => {
    await using scene = await Scene.open('primary');
    const { primary } = scene;
    const told: unknown[] = [];
    primary.listen('/n', batch => {
      const n = batch.changes[0]!.after as number | undefined;
      told.push(n);
      if (n === undefined || n < 5) primary.put('/n', (n ?? 0) + 1);
    });
    await vi.waitFor(() => expect(told).toEqual([undefined, 1, 2, 3, 4, 5]), WAIT);
  });

  it('that throw or never return delay no commit and no other listener, and no report has a value', async () => {
    expectErrors('listener-threw');
    await using scene = await Scene.open('primary', 10);
    const { primary, reports } = scene;
    const good: number[] = [];
    primary.listen('/secret', () => Promise.reject(new Error('no good')), { name: 'rejects' });
    primary.listen('/secret', () => new Promise(() => undefined), { name: 'hangs' });
    primary.listen('/secret', batch => void good.push(batch.position.revision));
    for (let n = 0; n < 50; n++) {
      primary.put('/secret', `hunter${n}`);
      if (n % 5 === 0) await scene.settle();
    }
    await vi.waitFor(() => expect(good.at(-1)).toBe(primary.position.revision), WAIT);
    expect(new Set(reports.map(({ event, details }) => [event, details!['listener']].join(' ')))).toEqual(
      new Set(['listener-threw "rejects" on "/secret"', 'listener-behind "hangs" on "/secret"']),
    );
    expect(reports.filter(report => report.event === 'listener-behind')).toHaveLength(1);
    expect(JSON.stringify(reports)).not.toContain('hunter');
  });

  it.each<[string, (store: Store) => void]>([
    ['throws', store => void store.listen('/n', () => fail())],
    ['rejects', store => void store.listen('/n', () => Promise.reject(failure))],
    ['throws at an event of the store', store => void store.on('stable', () => fail())],
  ])('that %s is told as an error event, beside the report', async (_, listen) => {
    expectErrors('listener-threw');
    const { store, reports } = await memoryStore();
    const told: unknown[] = [];
    store.on('error', error => void told.push(error));
    listen(store);
    store.put('/n', 1);
    await vi.waitFor(() => expect(told.length).toBeGreaterThan(0));
    expect(new Set(told)).toEqual(new Set([failure]));
    expect(reports.map(({ event, details }) => [event, details!['heard']])).toEqual(told.map(() => ['listener-threw', true]));
    await store.close();
  });

  it('are not called after they end or the store closes', async () => {
    const { primary } = await Scene.open('primary');
    let calls = 0;
    const ended = primary.listen('/n', () => void calls++);
    primary.listen('/n', () => void calls++);
    ended[Symbol.dispose]();
    primary.put('/n', 1);
    await primary.close();
    await new Promise(resolve => setImmediate(resolve));
    expect(calls).toBe(0);
  });

  it("don't change the commits of paths that they do not watch", async () => {
    await using scene = await Scene.open('primary');
    const batches: Batch[] = [];
    scene.primary.listen('/a/*/x', batch => void batches.push(batch));
    for (let n = 0; n < 100; n++) scene.primary.put(`/a/k${n}/y`, n);
    await scene.settle();
    expect(batches).toHaveLength(1);
  });
});

describe('a guard on a store', () => {
  const device = z.object({ mtu: z.number().min(68), up: z.boolean().optional() });

  it.each<[string, (store: Store) => unknown]>([
    ['put', s => s.put('/devices/r1', { mtu: 6 })],
    ['put below', s => s.put('/devices/r1/mtu', 6)],
    ['put above', s => s.put('/devices', { r2: { mtu: 1500 }, r1: {} })],
    ['delete below', s => s.delete('/devices/r1/mtu')],
    ['merge', s => s.merge('', { devices: { r1: { up: 'yes' } } })],
    ['update', s => s.update<{ mtu: number }>('/devices/r1', draft => void (draft.mtu = 6))],
    ['patch', s => s.patch('/devices', [{ op: 'replace', path: '/r1/mtu', value: 6 }])],
    ['import', s => s.replace('', { devices: { r1: { mtu: 6 } } })],
    ['transaction, of which it is the last', s => s.transact(tx => (tx.put('/n', 1), tx.put('/devices/r3', { mtu: 6 })))],
  ])('refuses a %s that would break it, and nothing changes', async (_, commit) => {
    await using store = (await memoryStore()).store;
    store.put('/devices/r1', { mtu: 1500 });
    store.guard('/devices/*', device);
    const before = [store.position, store.digest, store.get('')];
    expect(() => commit(store)).toThrow(expect.objectContaining({ code: 'GUARD_FAILED' }));
    expect([store.position, store.digest, store.get('')]).toEqual(before);
    expect(store.put('/devices/r1/mtu', 9000).changed).toBe(true);
  });

  it('checks what a transaction leaves, and accepts a delete of the path', async () => {
    await using store = (await memoryStore()).store;
    store.put('/devices/r1', { mtu: 1500 });
    store.guard('/devices/*', device);
    store.transact(tx => (tx.put('/devices/r1', {}), tx.put('/devices/r1/mtu', 100)));
    store.delete('/devices/r1');
    store.put('/elsewhere', { mtu: 6 });
    expect(store.get('')).toEqual({ devices: {}, elsewhere: { mtu: 6 } });
  });

  it('is refused if the present value violates it, and then commits go on', async () => {
    await using store = (await memoryStore()).store;
    store.put('/devices', { r1: { mtu: 6 } });
    expect(() => store.guard('/devices/*', device)).toThrow(expect.objectContaining({ code: 'GUARD_FAILED' }));
    store.put('/devices/r1/name', 'one');
    expect(store.get<{ mtu: number }>('/devices/r1')?.mtu.toFixed()).toBe('6');
  });
});
