import { any, EvertreeError, type Commit, type Store, type Transaction, type Value } from '@evertree/core';
import { describe, expect, it, vi } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';
import { expectErrors } from '../support/reports.ts';

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof EvertreeError) return error.code;
    throw error;
  }
  return 'none';
}

describe('a transaction', () => {
  it('reads what it wrote, and becomes visible as a whole when it ends', async () => {
    await using store = (await memoryStore()).store;
    const commit = store.transact(tx => {
      tx.put('/devices/r1', { mtu: 1500 });
      tx.merge(['devices', 'r1'], { up: true });
      expect(tx.get('/devices/r1')).toEqual({ mtu: 1500, up: true });
      tx.delete('/devices/r1/mtu');
      expect(tx.has('/devices/r1/mtu')).toBe(false);
    });
    expect(commit.changed).toBe(true);
    expect(store.get('/devices')).toEqual({ r1: { up: true } });
    expect(commit.position).toEqual({ epoch: 1, revision: 2 });
  });

  it.each<[string, (store: Store) => unknown, string]>([
    ['throws', store => store.transact(tx => (tx.put('/a', 2), tx.put('/b', 2), tx.put('/kept/x', 2))), 'PATH_INVALID'],
    ['throws at its first operation', store => store.transact(tx => tx.put('/kept/x', 2)), 'PATH_INVALID'],
    ['has a value that JSON does not have', store => store.transact(tx => (tx.put('/a', 2), tx.put('/n', Number.NaN))), 'VALUE_INVALID'],
    ['is nested', store => store.transact(tx => (tx.put('/a', 2), store.put('/b', 2))), 'TRANSACTION_INVALID'],
    ['returns a promise', store => store.transact(tx => (tx.put('/a', 2), Promise.resolve() as unknown)), 'TRANSACTION_INVALID'],
    ['asks for another position', store => store.put('/a', 2, { ifPosition: { epoch: 1, revision: 99 } }), 'POSITION_MISMATCH'],
    ['is larger than its limit', store => store.put('/a', 'x'.repeat(100 * 1024 * 1024)), 'TOO_LARGE'],
    [
      'fails a test',
      store =>
        store.patch('', [
          { op: 'replace', path: '/kept', value: 2 },
          { op: 'test', path: '/kept', value: 3 },
        ]),
      'TEST_FAILED',
    ],
  ])('that %s changes nothing', async (_, run, expected) => {
    await using store = (await memoryStore()).store;
    store.put('/kept', 1);
    const { position, digest } = store;
    expect(code(() => run(store))).toBe(expected);
    expect([store.position, store.digest, store.get('')]).toEqual([position, digest, { kept: 1 }]);
    // And it is over: the next one works.
    expect(store.put('/kept', 2).position.revision).toBe(position.revision + 1);
  });

  it('goes on only from the subtree that its caller saw, where that compares the digest first', async () => {
    await using store = (await memoryStore()).store;
    store.put('/seen', { a: 1 });
    const seen = store.digestAt('/seen');
    store.put('/beside', 2);
    expect(store.digestAt('/seen')).toBe(seen);
    store.put('/seen/a', 2);
    expect(store.digestAt('/seen')).not.toBe(seen);
    store.put('/seen/a', 1);
    expect(store.digestAt('/seen')).toBe(seen);
    store.delete('/seen');
    expect(store.digestAt('/seen')).toBeUndefined();
  });

  it('never commits half a patch, even if its callback catches the error', async () => {
    await using store = (await memoryStore()).store;
    store.put('/n', 1);
    const halves: ((tx: Transaction) => void)[] = [
      tx =>
        tx.patch('', [
          { op: 'add', path: '/half', value: 1 },
          { op: 'test', path: '/n', value: 2 },
        ]),
      tx => tx.merge('', { half: 1, n: Number.NaN }),
      tx => tx.replace('', { half: 1, n: Number.NaN }),
      tx => tx.update('', draft => void Object.assign(draft as object, { half: 1, n: Number.NaN })),
    ];
    for (const half of halves) {
      const caught = code(() => store.transact(tx => (tx.put('/other', 1), void code(() => half(tx)))));
      expect([caught, store.get('')]).toEqual([expect.stringMatching(/TEST_FAILED|VALUE_INVALID/), { n: 1 }]);
    }
    // What fails before it changed anything may be caught.
    store.transact(tx => (code(() => tx.patch('', [{ op: 'test', path: '/n', value: 2 }])), tx.put('/n', 2)));
    expect(store.get('')).toEqual({ n: 2 });
  });

  it('refuses its tx after its callback has ended', async () => {
    await using store = (await memoryStore()).store;
    let leaked: { put(path: string, value: unknown): void } | undefined;
    store.transact(tx => void (leaked = tx));
    expect(code(() => leaked!.put('/a', 1))).toBe('TRANSACTION_INVALID');
  });

  it.each<[string, (store: Store) => Commit]>([
    ['puts an equal value', store => store.put('/a', { y: [1, { z: null }], x: 1 })],
    ['deletes what is absent', store => store.delete('/nothing/here')],
    ['merges what is there', store => store.merge('/a', { x: 1, nothing: null })],
    ['writes and takes back', store => store.transact(tx => (tx.put('/a/x', 2), tx.put('/b', 1), tx.delete('/b'), tx.put('/a/x', 1)))],
    ['updates nothing', store => store.update('/a', () => undefined)],
    ['replaces by the same', store => store.replace('', { a: { x: 1, y: [1, { z: null }] } })],
    ['does nothing', store => store.transact(() => undefined)],
  ])('that %s takes no revision', async (_, run) => {
    await using store = (await memoryStore()).store;
    store.put('/a', { x: 1, y: [1, { z: null }] });
    const { position } = store;
    const commit = run(store);
    expect([commit.changed, commit.position.revision, store.position]).toEqual([false, position.revision, position]);
  });

  it('that empties a new object leaves the empty object, here and at a secondary', async () => {
    await using store = (await memoryStore()).store;
    store.transact(tx => (tx.put('/a/b/c', 1), tx.delete('/a/b/c')));
    expect(store.get('')).toEqual({ a: { b: {} } });
    await using other = (await memoryStore({ role: 'secondary' })).store;
    store.cut();
    for (const frame of await framesOf(store.journal)) other.applyFrame(frame);
    expect(other.get('')).toEqual({ a: { b: {} } });
  });

  it('does not change when its caller changes the arrays and objects that it passed', async () => {
    await using store = (await memoryStore()).store;
    const path = ['a', 'x'];
    const value = { list: [1, { deep: 1 }] };
    store.transact(tx => {
      tx.put(path, value);
      path[1] = 'y';
      (value.list[1] as { deep: number }).deep = 2;
      tx.put(path, 1);
    });
    expect(store.get('/a')).toEqual({ x: { list: [1, { deep: 1 }] }, y: 1 });
    expect(() => (store.get('/a/x/list') as unknown[]).push(1)).toThrow(TypeError);
  });

  it('allows no other commit of the store meanwhile', async () => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    for (const between of [() => store.snapshot(), () => store.cut(), () => store.listen('/a', () => undefined)]) {
      expect(code(() => store.transact(tx => (tx.put('/a', 2), between())))).toBe('TRANSACTION_INVALID');
    }
    expect(store.get('/a')).toBe(1);
  });
});

describe('values', () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = [cyclic];
  let deep: unknown = 1;
  for (let level = 0; level < 10_000; level++) deep = level % 2 === 0 ? { deep } : [deep];

  it.each<[string, unknown, RegExp]>([
    ['undefined', { a: { b: undefined } }, /"\/v\/a\/b" is undefined/],
    ['NaN', [1, Number.NaN], /"\/v\/1" is NaN/],
    ['Infinity', Number.NEGATIVE_INFINITY, /-Infinity/],
    ['a bigint', 1n, /bigint/],
    ['a function', { f: () => 1 }, /"\/v\/f" is a function/],
    ['a symbol key', { [Symbol('s')]: 1 }, /symbol/],
    ['a Date', new Date(0), /Date.*plain JSON/],
    ['a Map', { m: new Map() }, /"\/v\/m" is a Map/],
    ['a cycle', cyclic, /contains itself/],
    ['a lone surrogate', 'a\ud800', /lone surrogate/],
    ['a lone surrogate in a key', { 'a\udc00': 1 }, /lone surrogate/],
    ['a hole', Array.from({ length: 2 }), /undefined/],
    ['10,000 levels', deep, /deeper than 1000 levels/],
    ['a key of 100,000 characters', { ['k'.repeat(100_000)]: 1 }, /key longer than/],
  ])('with %s are refused with the place', async (_, value, message) => {
    await using store = (await memoryStore()).store;
    expect(() => store.put('/v', value)).toThrow(message);
    expect(code(() => store.put('/v', value))).toBe('VALUE_INVALID');
    expect(store.position.revision).toBe(0);
  });

  it.each<[string, Value]>([
    ['-0', -0],
    ['1e21', 1e21],
    ['the largest numbers', [Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]],
    ['odd keys', JSON.parse('{"":1,"/":2,"~":3,"__proto__":{"x":4},"constructor":5,"0":6,"007":7,"toString":8,"ключ":9,"🌲":10}') as Value],
    ['odd keys in arrays', [JSON.parse('{"":1,"__proto__":{"x":4},"constructor":5}') as Value]],
    ['a key of 10,000 characters', { ['k'.repeat(10_000)]: { ['🌲'.repeat(5_000)]: 'x' } }],
    ['texts of all kinds', ['', '\0', 'ascii'.repeat(20), 'ü', '🌲', '\u2028', 'x'.repeat(1_000_000)]],
    ['500 levels', JSON.parse(`${'{"d":'.repeat(500)}1${'}'.repeat(500)}`) as Value],
  ])('like %s come back as they are, here, at a secondary and after a restart', async (_, value) => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk);
    store.put('/v', value);
    await store.flush();
    await using other = (await memoryStore({ role: 'secondary' })).store;
    for (const frame of await framesOf(store.journal)) other.applyFrame(frame);
    await store.close();
    await using again = (await diskStore(disk)).store;
    for (const each of [other, again]) {
      expect(JSON.stringify(each.get('/v'))).toBe(JSON.stringify(value));
      expect(each.digest).toBe(store.digest);
    }
  });
});

describe('paths', () => {
  it.each<[string, unknown, RegExp]>([
    ['without a slash', 'a/b', /write "\/a\/b"/],
    ['with a bad escape', '/a~2', /neither "~0"/],
    ['that are no paths', 7, /pointer such as/],
    ['with a number as a segment', ['a', 1], /segment 1 of a path is a number/],
    ['with a lone surrogate', ['a', 'b\ud800'], /lone surrogate/],
    ['that are too deep', Array.from({ length: 1_001 }, () => 'x'), /too deep/],
    ['through a leaf', '/leaf/x', /leads through "leaf"/],
    ['into an array', '/array/0', /array, which is replaced whole; put the whole array, or change what is in it with patch at "\/array"/],
  ])('%s are refused', async (_, path, message) => {
    await using store = (await memoryStore()).store;
    store.put('', { leaf: 1, array: [1] });
    const { position } = store;
    expect(() => store.put(path as string, 1)).toThrow(message);
    expect(code(() => store.put(path as string, 1))).toBe('PATH_INVALID');
    expect(store.position).toEqual(position);
  });

  it('lead to any key, as a pointer or as segments', async () => {
    await using store = (await memoryStore()).store;
    for (const key of ['', '/', '~', '~1', '__proto__', 'constructor', '0', '*', '🌲', 'k'.repeat(10_000)]) {
      store.put(['k', key, key], key);
      const pointer = `/k/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      expect(store.get(`${pointer}${pointer.slice(2)}`)).toBe(key);
      expect(store.has(pointer)).toBe(true);
    }
    expect(store.get('/k/valueOf')).toBeUndefined();
    expect(({} as { x?: number }).x).toBeUndefined();
  });
});

describe('durability', () => {
  it('is reported when the journal has made it stable, not before', async () => {
    const disk = new FaultDisk();
    await using store = (await diskStore(disk)).store;
    store.put('/a', 1);
    await store.flush();
    const release = disk.hold('write', /evj/);
    const commit = store.put('/a', 2);
    let durable = false;
    const told = commit.durable.then(() => (durable = true));
    await vi.waitFor(() => expect(store.journal.log.busy).toBe(true));
    expect([durable, store.stable.position.revision]).toEqual([false, 2]);
    release();
    await told;
    expect(store.stable).toEqual({ position: store.position, digest: store.digest });
  });

  it('never comes to a store in memory, and a promise that nobody asked for does not reject', async () => {
    await using store = (await memoryStore()).store;
    const commit = store.put('/a', 1);
    await expect(commit.durable).rejects.toMatchObject({ code: 'NOT_DURABLE' });
  });

  it('is reached inside the commit when too much waits', async () => {
    const disk = new FaultDisk();
    await using store = (await diskStore(disk, { limits: { pendingBytes: 4_096, frameBytes: 1_024 } })).store;
    for (let n = 0; n < 5_000; n++) {
      store.put(['k', String(n % 100)], 'some text '.repeat(5) + n);
      expect(store.journal.log.pendingBytes).toBeLessThan(8_192);
    }
    expect(store.stable.position.revision).toBeGreaterThan(4_900);
  });

  it('of a commit at n secondaries resolves with the count, or rejects in time', async () => {
    await using store = (await memoryStore()).store;
    const commit = store.put('/a', 1);
    const two = commit.acknowledged(2);
    store.acknowledge('b', { ...store.position });
    await expect(commit.acknowledged(1)).resolves.toBe(1);
    await expect(commit.acknowledged(2, { timeoutMs: 5 })).rejects.toMatchObject({
      code: 'ACKNOWLEDGEMENT_TIMEOUT',
      details: { acknowledged: 1 },
    });
    store.acknowledge('c', { ...store.position });
    await expect(two).resolves.toBe(2);
  });

  it('ends with the store: waits are rejected', async () => {
    const { store } = await memoryStore();
    const waiting = store.put('/a', 1).acknowledged(1);
    await store.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    expect(code(() => store.put('/a', 2))).toBe('CLOSED');
  });
});

describe('a disk', () => {
  it('without room stops writes, keeps reads, loses nothing and goes on when there is room', async () => {
    expectErrors('storage-full');
    const disk = new FaultDisk();
    await using store = (await diskStore(disk)).store;
    store.put('/a', 1);
    await store.flush();
    const full = disk.fail({ operation: 'write', code: 'ENOSPC' });
    const commit = store.put('/a', 2);
    await vi.waitFor(() => expect(store.state).toBe('full'));
    expect(code(() => store.put('/a', 3))).toBe('STORAGE_FULL');
    expect(store.get('/a')).toBe(2);
    full[Symbol.dispose]();
    await commit.durable;
    await vi.waitFor(() => expect(store.state).toBe('open'));
    store.put('/a', 4);
    await store.close();
    await using again = (await diskStore(disk)).store;
    expect(again.get('/a')).toBe(4);
  });

  it('that fails stops the site until a restart, and what it had made stable is recovered', async () => {
    expectErrors('storage-failed');
    const disk = new FaultDisk();
    const { store } = await diskStore(disk);
    store.put('/a', 1);
    await store.flush();
    disk.fail({ operation: 'sync', code: 'EIO' });
    const commit = store.put('/a', 2);
    await expect(commit.durable).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect([store.state, code(() => store.put('/a', 3))]).toEqual(['failed', 'STORAGE_FAILED']);
    await store.close().catch(() => undefined);
    let state = 1;
    const after = disk.powerLoss(() => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647);
    await using again = (await diskStore(after)).store;
    expect([1, 2]).toContain(again.get('/a'));
  });
});

describe('a secondary', () => {
  it('takes no writes, and says where they go', async () => {
    await using store = (await memoryStore({ role: 'secondary' })).store;
    expect(() => store.put('/a', 1)).toThrow(/takes changes from its primary only/);
    expect(code(() => store.put('/a', 1))).toBe('NOT_PRIMARY');
  });

  it('refuses a frame that does not follow, is of another stream or has another digest, and keeps its tree', async () => {
    await using primary = (await memoryStore()).store;
    for (let n = 0; n < 3; n++) {
      primary.put('/n', n);
      primary.cut();
    }
    const frames = await framesOf(primary.journal);
    await using stranger = (await memoryStore()).store;
    stranger.put('/n', 1);
    stranger.cut();
    await using secondary = (await memoryStore({ role: 'secondary' })).store;
    secondary.applyFrame(frames[0]!);
    secondary.applyFrame(frames[1]!);
    expect(code(() => secondary.applyFrame(frames[3]!))).toBe('HISTORY_MISMATCH');
    expect(code(() => secondary.applyFrame(frames[1]!))).toBe('HISTORY_MISMATCH');
    const strange = (await framesOf(stranger.journal))[0]!;
    expect(code(() => secondary.applyFrame(strange))).toBe('STREAM_MISMATCH');
    expect([secondary.get('/n'), secondary.position.revision]).toEqual([0, 2]);
    secondary.applyFrame(frames[2]!);
    secondary.applyFrame(frames[3]!);
    expect([secondary.digest, secondary.position]).toEqual([primary.digest, primary.position]);
  });

  it('replaces its tree by a snapshot as the smallest difference, durably, or not at all', async () => {
    await using primary = (await memoryStore()).store;
    primary.put('', { same: { deep: { x: 1 } }, changed: { a: 1, b: 2 }, gone: 1 });
    const disk = new FaultDisk();
    const { store: secondary } = await diskStore(disk, { role: 'secondary' });
    primary.cut();
    for (const frame of await framesOf(primary.journal)) secondary.applyFrame(frame);
    const told: string[][][] = [];
    secondary.listen([any], batch => void told.push(batch.changes.map(change => [change.type, change.path])));
    await vi.waitFor(() => expect(told).toHaveLength(1));
    primary.transact(tx => (tx.put('/changed/a', 9), tx.delete('/gone'), tx.put('/new', 1)));
    using snapshot = primary.snapshot();
    const torn = await secondary.receiveSnapshot({ ...snapshot.header, digest: '0123456789abcdef' });
    for (const chunk of snapshot.chunks()) await torn.add(chunk);
    await expect(torn.finish()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await torn.abort();
    expect(secondary.get('/gone')).toBe(1);
    const receiver = await secondary.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
    expect([secondary.digest, secondary.position]).toEqual([primary.digest, primary.position]);
    await vi.waitFor(() => expect(told).toHaveLength(2));
    expect(told[1]!.toSorted(([, a], [, b]) => (a! < b! ? -1 : 1))).toEqual([
      ['subtree-modified', '/changed'],
      ['delete', '/gone'],
      ['write', '/new'],
    ]);
    await using again = (await diskStore(disk.crash(), { role: 'secondary' })).store;
    expect([again.digest, again.position, again.epochs]).toEqual([primary.digest, primary.position, primary.epochs]);
  });

  it('is what a site becomes that is told to follow, also one with commits of its own, and after a restart', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk);
    store.put('/a', 1);
    const following = store.follow();
    expect([store.role, code(() => store.put('/a', 2))]).toEqual(['secondary', 'NOT_PRIMARY']);
    await following;
    await store.close();
    await using again = (await diskStore(disk)).store;
    expect([again.role, again.standing, again.get('/a'), code(() => again.put('/a', 2))]).toEqual([
      'secondary',
      'secondary',
      1,
      'NOT_PRIMARY',
    ]);
  });
});
