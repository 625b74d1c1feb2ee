import { setImmediate } from 'node:timers/promises';
import { decodeChangeSets, FRAME_LIMIT_BYTES, frameBody, sealFrame, Store, type CommitOptions, type Transaction } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import { describe, expect, it, vi } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock, systemClock, systemRandom as random } from '../support/host.ts';
import { expectErrors, strictReport } from '../support/reports.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';

describe('what a commit says of itself', () => {
  it.each<[string, CommitOptions, string]>([
    ['an author that is no text', { author: 5 as unknown as string }, 'VALUE_INVALID'],
    ['a message that is no text', { message: null as unknown as string }, 'VALUE_INVALID'],
    ['an author with a lone surrogate', { author: 'a\ud800' }, 'VALUE_INVALID'],
    ['a message beyond the limit', { message: 'm'.repeat(64 * 1024 + 1) }, 'TOO_LARGE'],
  ])('is refused before anything changes: %s', async (_, options, expected) => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    const { position, digest } = store;
    expect(() => store.put('/a', 2, options)).toThrow(expect.objectContaining({ code: expected }));
    expect([store.get(''), store.position, store.digest]).toEqual([{ a: 1 }, position, digest]);
    store.put('/b', 2);
    store.cut();
    expect(store.get('')).toEqual({ a: 1, b: 2 });
  });
});

describe('a commit', () => {
  it('has its own position, even if a listener commits when its frame is cut', async () => {
    await using store = (await memoryStore()).store;
    store.put('/before', 1);
    let heard = 0;
    store.on('advanced', () => {
      if (heard++ === 0) store.put('/reaction', 1);
    });
    const commit = store.put('/long', 'x'.repeat(300_000));
    expect(commit.position.revision).toBe(3);
    expect(store.position.revision).toBe(4);
  });

  it('keeps its path, whatever becomes of the array that the caller gave', async () => {
    await using store = (await memoryStore()).store;
    const heard: string[] = [];
    using _ = store.listen('/heard/*', ({ changes }) => void heard.push(...changes.map(({ path }) => path)));
    const deep = Array.from({ length: 20 }, (_each, level) => `level${level}`);
    for (const start of [['unheard', 'a'], ['heard', 'a'], ['heard', 'b'], deep]) {
      const path = [...start];
      store.put(path, 1);
      path[path.length - 1] = 'changed';
      store.put(path, 2);
      path.fill('overwritten');
    }
    expect(() => store.put(['heard', 5 as unknown as string], 3)).toThrow(expect.objectContaining({ code: 'PATH_INVALID' }));
    expect(() => store.put(['heard', 'b', 'below'], 3)).toThrow(expect.objectContaining({ code: 'PATH_INVALID' }));
    store.put(['heard', 'b'], 4);
    store.cut();
    const pairs = { a: 1, changed: 2 };
    expect(store.get('/unheard')).toEqual(pairs);
    expect(store.get('/heard')).toEqual({ ...pairs, b: 4 });
    expect(store.get(deep)).toBe(1);
    expect(store.get([...deep.slice(0, -1), 'changed'])).toBe(2);
    await vi.waitFor(() => expect(heard.at(-1)).toBe('/heard/b'));
    expect(heard.filter(path => path !== '/heard')).toEqual(['/heard/a', '/heard/changed', '/heard/b', '/heard/b']);
    const written = (await framesOf(store.journal)).flatMap(decodeChangeSets).flatMap(each => each.operations);
    expect(written.map(({ path }) => path)).toEqual(expect.arrayContaining([deep, ['heard', 'changed']]));
    expect(written.at(-1)).toMatchObject({ path: ['heard', 'b'], value: 4 });
  });
});

describe('the time of a commit', () => {
  it('is that of its own turn, even if each commit fills a frame', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ clock, random, report: strictReport, identity: { site: 'a', role: 'primary' } });
    await using store = await Store.open({ clock, random, journal, limits: { frameBytes: 100 } });
    for (const hour of [1, 2, 3]) {
      clock.advance(3_600_000);
      store.put('/a', `${hour}`.repeat(200));
      clock.advance(1);
    }
    const times = (await framesOf(journal)).slice(1).flatMap(frame => decodeChangeSets(frame).map(({ time }) => time));
    expect(times).toEqual([3_600_000, 7_200_001, 10_800_002]);
  });
});

describe('a clock that steps back', () => {
  it('does not take the times of commits back, nor those after a restart', async () => {
    const disk = new FaultDisk();
    let now = 5_000;
    const clock = { ...systemClock, now: () => now };
    const { store } = await diskStore(disk, { clock });
    for (const time of [6_000, 2_000, 7_000]) {
      now = time;
      await store.put('/a', time).durable;
    }
    await store.close();
    now = 1_000;
    await using again = (await diskStore(disk, { clock })).store;
    await again.put('/a', 0).durable;
    const times = (await framesOf(again.journal)).flatMap(frame => decodeChangeSets(frame).map(({ time }) => time));
    // The first is that of the frame that begins the epoch, the last but one that of the restart entry.
    expect(times).toEqual([6_000, 6_000, 6_000, 7_000, 7_000, 7_000]);
  });
});

describe('a burst that goes on turn after turn', () => {
  it('is cut into frames every few milliseconds, however long a frame may be', async () => {
    let elapsedMs = 0;
    const clock = { ...systemClock, monotonic: () => elapsedMs };
    const journal = new MemoryJournal({ clock, random, report: strictReport, identity: { site: 'a', role: 'primary' } });
    await using store = await Store.open({ clock, random, journal, limits: { frameBytes: 10_000_000 } });
    for (let turn = 0; turn < 60; turn++) {
      store.put(`/${turn}`, 'x'.repeat(10_000));
      elapsedMs += 1;
      await setImmediate();
    }
    const { revision } = journal.log.last;
    expect(revision).toBeGreaterThan(40);
    expect((await framesOf(journal)).length).toBeLessThan(revision / 3);
  });

  it('gathers again after a full frame', async () => {
    const clock = { ...systemClock, monotonic: () => 0 };
    const journal = new MemoryJournal({ clock, random, report: strictReport, identity: { site: 'a', role: 'primary' } });
    await using store = await Store.open({ clock, random, journal, limits: { frameBytes: 75_000 } });
    for (let turn = 0; turn < 8; turn++) {
      for (let put = 0; put < 5; put++) store.put(`/${put}`, `${turn}`.repeat(10_000));
      await setImmediate();
    }
    const counts = (await framesOf(journal)).map(({ header }) => header.count);
    // The first one begins the epoch.
    expect(counts.slice(0, 6)).toEqual([1, 8, 8, 8, 8, 8]);
  });
});

describe('a journal with frames that lead to another tree than their digests say', () => {
  it('is damaged, and no store begins from it', async () => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    store.cut();
    const [first, second] = await framesOf(store.journal);
    const journal = new MemoryJournal({ clock: systemClock, random, report: strictReport });
    journal.log.append(first!);
    journal.log.append(sealFrame({ ...second!.header, digest: '0123456789abcdef' }, frameBody(second!)));
    await expect(Store.open({ clock: systemClock, random, journal })).rejects.toMatchObject({ code: 'DAMAGED' });
  });
});

describe('the header of a snapshot', () => {
  it("is the same at the primary, at a secondary that followed, at one that was copied, and after each one's restart", async () => {
    const disks = [new FaultDisk(), new FaultDisk(), new FaultDisk()] as const;
    const roles = ['primary', 'secondary', 'secondary'] as const;
    const sites = await Promise.all(disks.map((disk, index) => diskStore(disk, { site: `${index}`, role: roles[index]! })));
    const [primary, followed, copied] = sites.map(({ store }) => store) as [Store, Store, Store];
    primary.put('/a', 1);
    await primary.flush();
    // Its own history before the copy came, whose hash must not be taken for the copy's.
    for (const store of [followed, copied]) for (const frame of await framesOf(primary.journal)) store.applyFrame(frame);
    primary.put('/a', 2, { author: 'somebody' });
    using snapshot = primary.snapshot();
    await primary.flush();
    followed.applyFrame((await framesOf(primary.journal)).at(-1)!);
    const receiver = await copied.receiveSnapshot(snapshot.header);
    for (const chunk of snapshot.chunks()) await receiver.add(chunk);
    await receiver.finish();
    const headers = () => [primary, followed, copied].map(store => store.snapshot().header);
    for (const header of headers()) expect(header).toEqual(snapshot.header);
    for (const store of [primary, followed, copied]) await store.close();
    for (const [index, disk] of disks.entries()) {
      await using again = (await diskStore(disk, { site: `${index}` })).store;
      expect(again.snapshot().header).toEqual(snapshot.header);
    }
  });
});

describe('a disk that fails', () => {
  it('while a commit writes synchronously stops the store, and the commit stays made', async () => {
    expectErrors('storage-failed', 'closed-with-pending');
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { limits: { pendingBytes: 1, frameBytes: 1 } });
    await store.put('/a', 1).durable;
    const states: string[] = [];
    store.on('state', () => states.push(store.state));
    disk.fail({ operation: 'sync', code: 'EIO' });
    const commit = store.put('/a', 2);
    expect([commit.position.revision, store.get('/a'), store.state, states]).toEqual([3, 2, 'failed', ['failed']]);
    await expect(commit.durable).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(() => store.put('/a', 3)).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED' }));
    expect([store.get('/a'), store.position.revision]).toEqual([2, 3]);
    await store.close();
  });

  it('before the end of a turn that committed throws nothing, and the store can be closed', async () => {
    expectErrors('storage-failed', 'closed-with-pending');
    const disk = new FaultDisk();
    const clock = new ManualClock();
    const { store } = await diskStore(disk, { clock });
    store.put('/a', 1);
    disk.fail({ operation: 'sync', code: 'EIO' });
    clock.advance(1);
    const commit = store.put('/a', 2);
    const durable = expect(commit.durable).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await vi.waitFor(() => expect(store.state).toBe('failed'));
    clock.advance(1);
    await durable;
    await store.close();
    await using again = (await diskStore(disk.crash())).store;
    expect(again.get('/a')).toBeUndefined();
  });
});

describe('closing a store', () => {
  it('ends for every caller when all that was committed is stable', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk);
    store.put('/a', 1);
    const ended: string[] = [];
    await Promise.all([store.close().then(() => ended.push('first')), store.close().then(() => ended.push('second'))]);
    expect([ended, store.stable.position.revision, store.journal.log.state]).toEqual([['first', 'second'], 2, 'closed']);
  });

  it('does not begin inside a transaction, and does later', async () => {
    const { store } = await memoryStore();
    let closing: Promise<void> | undefined;
    store.transact(tx => {
      tx.put('/a', 1);
      closing = store.close();
    });
    await expect(closing).rejects.toMatchObject({ code: 'TRANSACTION_INVALID' });
    expect([store.state, store.get('/a')]).toEqual(['open', 1]);
    await store.close();
    expect(store.state).toBe('closed');
  });
});

describe('a primary', () => {
  it('accepts no frame or snapshot of another site', async () => {
    await using other = (await memoryStore()).store;
    other.put('/a', 1);
    using snapshot = other.snapshot();
    await using store = (await memoryStore()).store;
    const wrongRole = expect.objectContaining({ code: 'WRONG_ROLE' });
    for (const frame of await framesOf(other.journal)) expect(() => store.applyFrame(frame)).toThrow(wrongRole);
    await expect(store.receiveSnapshot(snapshot.header)).rejects.toThrow(wrongRole);
    expect([store.get(''), store.stream]).toEqual([{}, null]);
  });
});

const key = (index: number): string => `${'k'.repeat(60_000)}${index}`;

describe('the largest change set', () => {
  it.each<[string, (tx: Transaction, index: number) => void]>([
    ['puts', (tx, index) => tx.put([key(index)], 1)],
    ['puts far down', (tx, index) => tx.put([key(0), key(index), 'x'], 1)],
    ['deletes', (tx, index) => tx.delete([key(index), 'x'])],
    ['merges', (tx, index) => tx.merge('', { [key(index)]: 1 })],
  ])('counts the paths of %s', async (_, change) => {
    await using store = (await memoryStore({ limits: { changeSetBytes: 1_000_000 } })).store;
    const commit = () =>
      store.transact(tx => {
        for (let index = 0; index < 20; index++) change(tx, index);
      });
    expect(commit).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
    expect([store.get(''), store.position.revision]).toEqual([{}, 0]);
  });

  it('is measured for each transaction by itself, even after some that changed nothing or failed', async () => {
    await using store = (await memoryStore({ limits: { changeSetBytes: 1_000_000 } })).store;
    const text = 'x'.repeat(600_000);
    store.put('/a', 1);
    for (let round = 0; round < 3; round++) {
      expect(store.transact(tx => (tx.put('/b', text), tx.delete('/b'), tx.put('/a', 1))).changed).toBe(false);
      expect(() => store.transact(tx => (tx.put('/b', text), tx.put('/a/below', 1)))).toThrow(
        expect.objectContaining({ code: 'PATH_INVALID' }),
      );
      expect(() => store.put('/a/below', text)).toThrow(expect.objectContaining({ code: 'PATH_INVALID' }));
    }
    expect(store.put('/b', text).changed).toBe(true);
    expect([store.get('/a'), store.position.revision]).toEqual([1, 3]);
  });

  it.each<['binary' | 'json', number]>([
    ['binary', 3],
    ['json', 6],
  ])('fits into a frame, however long its encoding as %s is, whatever limit is asked for', async (encoding, longest) => {
    await using store = (await memoryStore({ encoding, limits: { changeSetBytes: 2 ** 40, frameBytes: 2 ** 40 } })).store;
    const { changeSetBytes, frameBytes } = store.limits;
    expect(changeSetBytes * longest + frameBytes).toBeLessThan(FRAME_LIMIT_BYTES - 1024 * 1024);
    expect((await memoryStore()).store.limits.changeSetBytes).toBe(64 * 1024 * 1024);
  });
});

describe('a transaction that leaves one operation of several', () => {
  it.each<[string, (tx: Transaction) => void]>([
    ['a later one that cancels out', tx => (tx.put('/b/y', 2), tx.put('/a/x', 9), tx.put('/a/x', 1))],
    ['a later one that changes nothing', tx => (tx.put('/b/y', 2), tx.put('/a/x', 1))],
    ['a later one that deletes nothing', tx => (tx.put('/b/y', 2), tx.delete('/a/none/x'))],
    ['a later one that failed', tx => (tx.put('/b/y', 2), expect(() => tx.put('/a/x/deep', 1)).toThrow(/leads through/))],
    ['an earlier one that cancels out', tx => (tx.put('/a/x', 9), tx.put('/b/y', 2), tx.put('/a/x', 1))],
    ['deeper ones that cancel out', tx => (tx.put('/b/y', 2), tx.put('/a/new/z', 1), tx.delete('/a/new'))],
  ])('is told to secondaries where it was made, and so are those after it in its frame: %s', async (_, change) => {
    await using store = (await memoryStore()).store;
    store.put('', { a: { x: 1 }, b: { y: 1 } });
    store.cut();
    store.transact(change);
    store.put('/a/x', 'a');
    store.put('/b/y', 'b');
    store.cut();
    await using plain = (await memoryStore({ role: 'secondary' })).store;
    await using observed = (await memoryStore({ role: 'secondary' })).store;
    observed.listen('', () => undefined);
    for (const frame of await framesOf(store.journal)) {
      plain.applyFrame(frame);
      observed.applyFrame(frame);
    }
    for (const each of [store, plain, observed]) expect(each.get('')).toEqual({ a: { x: 'a' }, b: { y: 'b' } });
  });
});
