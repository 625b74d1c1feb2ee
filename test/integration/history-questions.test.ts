import { type Clock, type Journal, type Path, type Position, Store } from '@evertree/core';
import { type Change, HistoryQueries } from '@evertree/history';
import { MemoryJournal } from '@evertree/journal';
import { describe, expect, it, vi } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { NaiveIndex } from '../support/naive-index.ts';
import { HistoryOracle } from '../support/history-oracle.ts';
import { VirtualJournal } from '../support/virtual-journal.ts';
import { VirtualStorage } from '../support/virtual-log.ts';

/** Wall-clock time that a test sets. */
class SetClock implements Clock {
  time = Date.UTC(2026, 10, 27, 10);
  now = () => this.time;
  monotonic = () => systemClock.monotonic();
  soon = (task: () => void) => systemClock.soon(task);
  after = (delayMs: number, task: () => void) => systemClock.after(delayMs, task);
}

const report = () => undefined;

async function opened(clock: Clock = new SetClock()): Promise<{ store: Store; queries: HistoryQueries; journal: VirtualJournal }> {
  const journal = new VirtualJournal('athens', new VirtualStorage(), systemClock);
  const store = await Store.open({ clock, random: systemRandom, report, journal });
  return { store, queries: new HistoryQueries({ store }), journal };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const isoOf = (time: number) => new Date(time).toISOString();

describe('a moment', () => {
  it('of a time is the last commit that is not after it, also within a frame, and says so', async () => {
    const clock = new SetClock();
    const { store, queries } = await opened(clock);
    await using _ = store;
    const begin = clock.time;
    store.put('/a', 1);
    for (const value of [2, 3, 4]) {
      await new Promise<void>(resolve => systemClock.soon(resolve));
      clock.time += 10;
      store.put('/a', value);
    }
    expect(await queries.resolve({ time: begin + 15 })).toMatchObject({
      position: { epoch: 1, revision: 3 },
      time: begin + 10,
      taken: `1-3 of ${isoOf(begin + 10)}, the last commit that is not after ${isoOf(begin + 15)}`,
    });
    expect((await queries.read('/a', { time: begin + 15 })).value).toBe(2);
    expect((await queries.read('/a', isoOf(begin + 29))).value).toBe(3);
    expect((await queries.read('/a', '10ms ago')).value).toBe(3);
    expect(await queries.resolve({ time: begin - 1 })).toMatchObject({ position: { revision: 0 }, time: 0 });
    expect((await queries.resolve({ time: clock.time + 1e6 })).position).toEqual(store.position);
  });

  it('of a time that two epochs have lies in the later one, and says so', async () => {
    const clock = new SetClock();
    const { store, queries } = await opened(clock);
    await using _ = store;
    const begin = clock.time;
    store.put('/a', 'old');
    store.cut();
    clock.time = begin + 100;
    await new Promise<void>(resolve => systemClock.soon(resolve));
    store.put('/a', 'newer');
    store.cut();
    clock.time = begin + 50;
    store.beginEpoch({ number: 2, id: 'b'.repeat(16) }, 'promotion');
    await new Promise<void>(resolve => systemClock.soon(resolve));
    store.put('/a', 'newest');
    const { position, taken } = await queries.resolve({ time: begin + 60 });
    expect(position).toMatchObject({ epoch: 2, revision: 5 });
    expect(taken).toContain('epoch 1 of athens has commits up to');
    expect(taken).toContain('epoch 2 of athens, which follows it in the history, was taken');
    expect((await queries.read('/a', { time: begin + 60 })).value).toBe('newest');
    expect((await queries.read('/a', { time: begin + 40 })).value).toBe('old');
    expect((await queries.resolve({ time: begin + 101 })).taken).not.toContain('epoch 1');
  });

  it('of a time that goes on while it is looked for lies in what was there when it was asked', async () => {
    const { store, queries, journal } = await opened();
    await using _ = store;
    store.put('/a', 1);
    const find = journal.log.findByTime.bind(journal.log);
    journal.log.findByTime = async time => {
      store.put('/a', 2);
      await store.flush();
      return find(time);
    };
    expect((await queries.read('/a', { time: Number.MAX_SAFE_INTEGER })).value).toBe(1);
  });

  it('that is not in the history is refused in words', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    await expect(queries.resolve('1-9')).rejects.toMatchObject({
      code: 'POSITION_MISMATCH',
      message: expect.stringContaining('stands at 1-2'),
    });
    await expect(queries.resolve('3-2')).rejects.toMatchObject({
      code: 'HISTORY_MISMATCH',
      message: expect.stringContaining('revision 2 is 1-2'),
    });
    await expect(queries.resolve({ ...store.position, epochId: 'f'.repeat(16) })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    await expect(queries.resolve('yesterday!?')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(queries.resolve('-x')).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(queries.resolve({ time: Number.NaN })).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(queries.show({ epoch: 0, revision: 0 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('behind the end of an epoch that another one followed is never reached: the error says where it ended', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    store.cut();
    const end = store.position;
    store.beginEpoch({ number: 2, id: 'b'.repeat(16) }, 'promotion');
    store.put('/a', 2);
    await store.flush();
    await expect(queries.resolve('1-99999')).rejects.toMatchObject({
      code: 'HISTORY_MISMATCH',
      message: expect.stringContaining(`epoch 1 ended at 1-${end.revision}`),
    });
    await expect(queries.resolve('2-99999')).rejects.toMatchObject({ code: 'POSITION_MISMATCH' });
  });

  it('of a mark is the state that it names, and a name that is near is told', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    store.mark('before-upgrade', { message: 'just in case' });
    store.put('/a', 2);
    expect((await queries.read('/a', 'before-upgrade')).value).toBe(1);
    expect((await queries.resolve('before-upgrade')).taken).toBe('1-3, which the mark "before-upgrade" names since 1-3');
    await expect(queries.resolve('before-upgrad')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/"before-upgrade"\?.*"evertree marks" lists .*-0s/),
    });
  });

  it('that was cut off is found among the divergences', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    store.cut();
    const fork = store.position;
    store.put('/a', 2);
    await store.follow();
    await store.rewind(fork);
    await expect(queries.resolve('1-3')).rejects.toMatchObject({
      code: 'HISTORY_MISMATCH',
      message: expect.stringMatching(/lies in divergence 1 \(.*\), which was cut off after 1-2.*divergences show 1/),
    });
    expect((await queries.read('/a', fork)).value).toBe(1);
  });
});

describe('the history of the root', () => {
  it('has an entry for each epoch that begins or ends, and for each mark, without operations', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1, { author: 'ann' });
    store.mark('here', { author: 'ann' });
    store.unmark('here');
    store.hold('command-1');
    await store.handOver('berlin', 'command-1');
    const entries = await all(queries.changes('', { order: 'oldest' }));
    expect(entries.map(({ operations, ...entry }) => ({ ...entry, operations: operations.length }))).toMatchObject([
      { begins: { site: 'athens', reason: 'first commit' }, operations: 0 },
      { operations: 1, author: 'ann' },
      { mark: { name: 'here', position: { revision: 3 }, removed: false }, operations: 0 },
      { mark: { name: 'here', position: { revision: 4 }, removed: true }, operations: 0 },
      { ends: { to: 'berlin', command: 'command-1' }, operations: 0 },
    ]);
    expect(await all(queries.changes('', { author: 'ann' }))).toHaveLength(2);
    expect(await all(queries.changes('/a'))).toHaveLength(1);
    expect(await queries.show({ epoch: 1, revision: 1 })).toMatchObject({ begins: { reason: 'first commit' }, operations: [] });
  });
});

describe('the history of a path', () => {
  it('counts what was done above it, and derives what that made of it; a path may lead into an array', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', { list: [{ x: 1 }, 2], other: 0 });
    store.put('/a/list', [{ x: 5 }]);
    store.delete('/a');
    const changes = await all(queries.changes('/a/list/0/x', { values: true }));
    expect(changes.flatMap(({ operations }) => operations)).toEqual([
      { path: ['a'], kind: 'delete', above: true, before: 5, after: undefined },
      { path: ['a', 'list'], kind: 'put', above: true, before: 1, after: 5 },
      { path: ['a'], kind: 'put', above: true, before: undefined, after: 1 },
    ]);
    expect((await queries.read('/a/list/1', { epoch: 1, revision: 2 })).value).toBe(2);
  });

  it('is paged by its positions', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    for (let value = 0; value < 10; value++) store.put('/a', value);
    const pages: number[][] = [];
    let to: Position | undefined;
    for (;;) {
      const page = await all(queries.changes('/a', { to, limit: 4 }));
      if (page.length === 0) break;
      pages.push(page.map(({ position }) => position.revision));
      to = { epoch: 1, revision: page.at(-1)!.position.revision - 1 };
    }
    expect(pages).toEqual([
      [11, 10, 9, 8],
      [7, 6, 5, 4],
      [3, 2],
    ]);
    await expect(all(queries.changes('/a', { limit: 0 }))).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(all(queries.changes('/a', { from: '1-5', to: '1-3' }))).rejects.toMatchObject({ code: 'VALUE_INVALID' });
  });

  it('that is followed goes on with each commit, without a seam, until it is aborted', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    store.put('/b', 1);
    const ending = new AbortController();
    const seen: unknown[] = [];
    const following = (async () => {
      for await (const { operations } of queries.changes('/a', { from: '1-1', follow: true, values: true, signal: ending.signal })) {
        seen.push(operations[0]!.after);
        if (seen.length === 1) store.put('/a', 2);
        if (seen.length === 2) store.put('/b', 2);
        if (seen.length === 2) store.delete('/a');
        if (seen.length === 3) ending.abort();
      }
    })();
    await following;
    expect(seen).toEqual([1, 2, undefined]);
  });

  it('that is followed names the state of a mark that was set since it began', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    await store.flush();
    const ending = new AbortController();
    const named: unknown[] = [];
    const { position } = store;
    for await (const { mark, position: at } of queries.changes('', { from: '1-1', follow: true, signal: ending.signal })) {
      if (mark !== undefined) named.push(mark.position);
      if (named.length === 2) ending.abort();
      if (at.revision !== position.revision) continue;
      store.put('/a', 2);
      store.mark('later');
      store.mark('earlier', { at: position });
    }
    expect(named).toMatchObject([
      { epoch: 1, revision: 4 },
      { epoch: 1, revision: 2 },
    ]);
  });
});

/** A store that keeps what follows 1-6. */
async function compacted() {
  const { store, queries, journal } = await opened();
  for (let value = 1; value <= 5; value++) store.put('/a', value);
  await store.saveSnapshot();
  for (let value = 6; value <= 9; value++) store.put('/a', value);
  await store.flush();
  journal.compact();
  return { store, queries, journal };
}

describe('the last writer', () => {
  it('of an empty object in an array is that of the array', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', [{}, { b: {}, c: 1 }]);
    const blamed = async (path: string) => (await all(queries.blame(path))).map(each => [each.path.join('/'), each.kind]);
    expect(await blamed('/a/0')).toEqual([['a/0', 'above']]);
    expect(await blamed('/a/1')).toEqual([
      ['a/1/b', 'above'],
      ['a/1/c', 'above'],
    ]);
  });
});

describe('the difference of two states that are far apart', () => {
  it('is the same from the index, where each is looked up for itself, and from the journal', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/base', { kept: 1, gone: { deep: true } });
    for (let value = 0; value < 700; value++) {
      store.put(['k', String(value % 11), 'x'], value);
      if (value === 300) store.delete('/base/gone');
      if (value === 400) store.put('/made/on/the/way', value);
      if (value % 50 === 0) store.cut();
    }
    store.delete('/k/3');
    const oracle = await HistoryOracle.of(store);
    for (const upTo of [oracle.last, oracle.last - 40]) {
      const indexed = new HistoryQueries({ store, index: new NaiveIndex(oracle, 0, upTo) });
      for (const path of ['', '/k', '/k/3/x', '/made/on', '/base']) {
        for (const [from, to] of [
          ['1-5', '1-704'],
          ['1-704', '1-5'],
          ['1-100', '1-690'],
        ] as const) {
          const expected = await all(queries.diff(from, to, path));
          expect(await all(indexed.diff(from, to, path))).toEqual(expected);
          expect(expected.length).toBeGreaterThan(0);
        }
      }
    }
  });
});

describe('a part of the tree, from an index', () => {
  it('has nothing of what was made where an object stood meanwhile, and a leaf before and after', async () => {
    const { store } = await opened();
    await using _ = store;
    store.put('/p', { a: 5 });
    store.put('/p/a', {});
    store.put('/p/a/a', 1);
    store.put('/p/a', 6);
    const oracle = await HistoryOracle.of(store);
    const queries = new HistoryQueries({ store, index: new NaiveIndex(oracle, 0, oracle.last) });
    store.put('/later', true);
    for (let revision = 0; revision <= oracle.last; revision++) {
      expect((await queries.read('/p', oracle.exact(revision))).value).toEqual(oracle.valueAt(['p'], revision));
    }
  });
});

describe('what this site does not keep', () => {
  it('is said to be elsewhere, with the site that wrote it', async () => {
    const { store, queries } = await compacted();
    await using _ = store;
    await expect(queries.read('/a', '1-3')).rejects.toMatchObject({
      code: 'COMPACTED',
      message: expect.stringMatching(/1-3 lies before .* begins after 1-6.*This site \(athens\) wrote it/),
    });
    expect(await queries.reach()).toMatchObject({
      position: { revision: 6 },
      changesAfter: { revision: 6 },
      elsewhere: expect.any(String),
    });
    expect((await queries.read('/a', '1-6')).value).toBe(5);
    expect((await all(queries.changes('/a', { values: true }))).map(({ operations }) => operations[0]!.before)).toEqual([8, 7, 6, 5]);
    await expect(all(queries.changes('/a', { from: '1-3' }))).rejects.toMatchObject({ code: 'COMPACTED' });
    await expect(queries.show({ epoch: 1, revision: 3 })).rejects.toMatchObject({ code: 'COMPACTED' });
    store.put('/b', 1);
    const [first] = await all(queries.blame('/a', '1-6'));
    expect(first).toMatchObject({ path: ['a'], kind: 'before', time: undefined, position: { revision: 6 } });
  });

  it('ends a listing without a beginning when it goes under the question', async () => {
    const { store, queries, journal } = await opened();
    await using _ = store;
    for (let value = 0; value < 1_200; value++) {
      store.put('/a', value);
      store.cut();
    }
    await store.saveSnapshot();
    store.put('/a', 'last');
    await store.flush();
    const seen: number[] = [];
    for await (const { position } of queries.changes('/a')) {
      seen.push(position.revision);
      if (seen.length === 1) journal.compact();
    }
    expect(seen[0]).toBe(1_202);
    expect(seen).toEqual(seen.toSorted((a, b) => b - a));
    expect(seen.length).toBeLessThan(1_201);
  });

  it('ends one with values, too, also where retention was there before', async () => {
    for (const goesUnderValues of [false, true]) {
      const { store, queries, journal } = await opened();
      await using _ = store;
      for (let value = 0; value < 2_400; value++) {
        store.put('/a', value);
        store.cut();
        if (value === 10) {
          await store.saveSnapshot();
          journal.compact();
        }
      }
      await store.saveSnapshot();
      store.put('/a', 'last');
      await store.flush();
      const newest = journal.snapshots.newest.bind(journal.snapshots);
      if (goesUnderValues) {
        // The changes are found already, and now the state before them is looked for.
        vi.spyOn(journal.snapshots, 'newest').mockImplementation(at => {
          journal.compact();
          return newest(at);
        });
      }
      const seen: Change[] = [];
      for await (const change of queries.changes('/a', { values: true })) {
        seen.push(change);
        if (seen.length === 1) journal.compact();
      }
      expect(seen[0]!.operations).toEqual([expect.objectContaining({ before: 2_399, after: 'last' })]);
      expect(seen.slice(1).every(({ operations: [only] }) => (only!.after as number) - (only!.before as number) === 1)).toBe(true);
      expect(seen.length).toBeLessThan(2_390);
    }
  });

  it('ends one with a beginning with an error then', async () => {
    const { store, queries, journal } = await opened();
    await using _ = store;
    for (let value = 0; value < 1_200; value++) {
      store.put('/a', value);
      store.cut();
    }
    await store.saveSnapshot();
    await expect(
      (async () => {
        for await (const { position } of queries.changes('/a', { from: '1-2' })) {
          expect(position.revision).toBeGreaterThan(2);
          journal.compact();
        }
      })(),
    ).rejects.toMatchObject({ code: 'COMPACTED' });
  });

  it('is not asked of a journal in memory before its first frame', async () => {
    const journal: Journal = new MemoryJournal({
      clock: systemClock,
      random: systemRandom,
      report,
      identity: { site: 'memory', role: 'primary' },
      maxBytes: 4_000,
    });
    await using store = await Store.open({ clock: systemClock, random: systemRandom, report, journal });
    const queries = new HistoryQueries({ store });
    for (let value = 0; value < 100; value++) {
      store.put('/a', `${value} ${'x'.repeat(100)}`);
      store.cut();
    }
    expect((await queries.read('/a', store.position)).value).toBe(store.get('/a'));
    await expect(queries.read('/a', '1-2')).rejects.toMatchObject({ code: 'COMPACTED' });
    const changes = await all(queries.changes('/a'));
    expect(changes.length).toBeGreaterThan(0);
    expect(changes[0]!.position).toEqual(store.position);
  });
});

describe('a state between the beginning of the log and the oldest snapshot', () => {
  it('is not there, although its commits are: the answer says from where on there are states', async () => {
    const { store, queries, journal } = await opened();
    await using _ = store;
    for (let value = 1; value <= 4; value++) store.put('/a', value);
    await store.saveSnapshot();
    store.put('/a', 5);
    await store.saveSnapshot();
    journal.compactTo(1);
    expect(journal.log.base.revision).toBe(1);
    await expect(queries.read('/a', '1-3')).rejects.toMatchObject({
      code: 'COMPACTED',
      message: expect.stringContaining('which can be read from 1-5 on'),
    });
    expect((await queries.reach()).position.revision).toBe(5);
    expect(await all(queries.changes('/a'))).toHaveLength(5);
    expect(await all(queries.changes('/a', { values: true }))).toHaveLength(1);
  });
});

describe('a question under which the history is cut back', () => {
  it('ends with HISTORY_MISMATCH, from the journal and from an index', async () => {
    expect.hasAssertions();
    for (const isIndexed of [false, true]) {
      const { store, queries: plain } = await opened();
      await using _ = store;
      for (let value = 0; value < 1_200; value++) {
        store.put(['a', String(value % 7)], value);
        store.cut();
      }
      const fork = (await plain.resolve('1-100')).position;
      const oracle = await HistoryOracle.of(store);
      const queries = isIndexed ? new HistoryQueries({ store, index: new NaiveIndex(oracle, 0, oracle.last) }) : plain;
      await store.follow();
      const path: Path = ['a'];
      await expect(
        (async () => {
          let isFirst = true;
          for await (const { position } of queries.changes(path)) {
            expect(position.revision).toBeGreaterThan(0);
            if (isFirst) await store.rewind(fork);
            isFirst = false;
          }
        })(),
      ).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    }
  });
});

describe('a reversal', () => {
  it('of a commit undoes its operations, and leaves what was undone already', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/dev', { mtu: 1500, up: true });
    store.put('/tag', 'x');
    const mistake = store.transact(tx => {
      tx.merge('/dev', { mtu: 9000, up: false, note: 'hm' });
      tx.delete('/tag');
    });
    store.put('/tag', 'x');
    const reversal = await queries.revertCommit(mistake.position);
    expect(reversal.conflicts).toEqual([]);
    expect(new Map(reversal.differences.map(({ path, after }) => [path.join('/'), after]))).toEqual(
      new Map<string, unknown>([
        ['dev/mtu', 1500],
        ['dev/up', true],
        ['dev/note', undefined],
      ]),
    );
    await reversal.commit({ author: 'ann' });
    expect(store.get('')).toEqual({ dev: { mtu: 1500, up: true }, tag: 'x' });
    expect(await queries.show(store.position)).toMatchObject({ author: 'ann', message: 'revert the commit 1-4' });
    expect((await (await queries.revertCommit(mistake.position)).commit()).changed).toBe(false);
  });

  it('of a commit shows what later commits changed, and asks what to do about it', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', 1);
    store.put('/b', 1);
    const mistake = store.transact(tx => {
      tx.put('/a', 2);
      tx.put('/b', 2);
    });
    const later = store.put('/a', 3, { author: 'bob' });
    const reversal = await queries.revertCommit(mistake.position);
    expect(reversal.differences).toMatchObject([{ path: ['b'], before: 2, after: 1 }]);
    expect(reversal.conflicts).toMatchObject([
      { path: ['a'], position: later.position, author: 'bob', difference: { before: 3, after: 1, kind: 'put' } },
    ]);
    await expect(reversal.commit()).rejects.toMatchObject({
      code: 'TEST_FAILED',
      message: expect.stringContaining('"/a" was changed by 1-5'),
    });
    expect(store.get('/b')).toBe(2);
    await reversal.commit({ conflicts: 'skip' });
    expect(store.get('')).toEqual({ a: 3, b: 1 });
    await (await queries.revertCommit(mistake.position)).commit({ conflicts: 'overwrite' });
    expect(store.get('')).toEqual({ a: 1, b: 1 });
  });

  it('of a path takes what was written meanwhile into account: the result is what it was, or nothing is done', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', { x: 1, y: { z: 2 } });
    const then = store.position;
    store.put('/a', { x: 5 });
    const reversal = await queries.revertPath('/a', then);
    store.put('/a/added', true);
    store.put('/beside', 1);
    const { position } = await reversal.commit();
    expect(store.get('')).toEqual({ a: { x: 1, y: { z: 2 } }, beside: 1 });
    expect(position).toEqual({ epoch: 1, revision: 6 });
    expect(await queries.show(position)).toMatchObject({ message: 'revert "/a" to 1-2' });
  });

  it('is refused through a leaf, inside an array, and where nothing may be written', async () => {
    const { store, queries } = await opened();
    await using _ = store;
    store.put('/a', { b: [1, 2] });
    const then = store.position;
    store.put('/a/b', [3]);
    await expect(queries.revertPath('/a/b/0', then)).rejects.toMatchObject({
      code: 'PATH_INVALID',
      message: expect.stringContaining('"/a/b", which is an array'),
    });
    store.put('/a', 7);
    await expect(queries.revertPath('/a/b', then)).rejects.toMatchObject({ code: 'PATH_INVALID' });
    const reversal = await queries.revertPath('/a', then);
    await store.follow();
    await expect(reversal.commit()).rejects.toMatchObject({ code: 'NOT_PRIMARY' });
  });
});
