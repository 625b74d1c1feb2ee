import { Store } from '@evertree/core';
import { HistoryQueries } from '@evertree/history';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock, systemRandom } from '../support/host.ts';
import { HistoryOracle } from '../support/history-oracle.ts';
import { NaiveIndex } from '../support/naive-index.ts';
import { VirtualJournal } from '../support/virtual-journal.ts';
import { VirtualLog, VirtualStorage } from '../support/virtual-log.ts';

const report = () => undefined;
/** More frames than the first stretches on the way back take. */
const COMMITS = 8_000;
/** More commits than are read at once from an index. */
const INDEXED_COMMITS = 1_000;

afterEach(() => vi.restoreAllMocks());

/** A store with so many commits at one path, each in a frame of its own, that nobody named Nemo made. */
async function filled(commits: number): Promise<{ store: Store; journal: VirtualJournal }> {
  const journal = new VirtualJournal('athens', new VirtualStorage(), systemClock);
  const store = await Store.open({ clock: systemClock, random: systemRandom, report, journal });
  for (let n = 0; n < commits; n++) {
    store.put('/a/b', n, { author: 'ann' });
    store.cut();
  }
  await store.flush();
  return { store, journal };
}

describe('a question about the past that finds nothing', () => {
  const questions: readonly [string, (queries: HistoryQueries, signal: AbortSignal) => AsyncIterable<unknown>][] = [
    ['changes', (queries, signal) => queries.changes('', { author: 'nemo', signal })],
    ['changes with values', (queries, signal) => queries.changes('', { author: 'nemo', values: true, signal })],
    ['find', (queries, signal) => queries.find({ path: '', changedBy: 'nemo', signal })],
  ];

  it.each(questions)('reads no more of the journal once it is told to end: %s', async (_name, ask) => {
    const { store, journal } = await filled(COMMITS);
    await using _ = store;
    const queries = new HistoryQueries({ store });
    const ending = new AbortController();
    const { log } = journal;
    const read = vi.spyOn(log, 'read').mockImplementation(position => {
      ending.abort();
      return VirtualLog.prototype.read.call(log, position);
    });
    expect(await Array.fromAsync(ask(queries, ending.signal))).toEqual([]);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('asks the index for no more once it is told to end', async () => {
    const { store } = await filled(INDEXED_COMMITS);
    await using _ = store;
    const oracle = await HistoryOracle.of(store);
    const index = new NaiveIndex(oracle, 0, oracle.last);
    const ending = new AbortController();
    const read = vi.spyOn(index, 'read').mockImplementation(touches => {
      ending.abort();
      return NaiveIndex.prototype.read.call(index, touches);
    });
    const queries = new HistoryQueries({ store, index });
    expect(await Array.fromAsync(queries.changes('/a/b', { author: 'nemo', signal: ending.signal }))).toEqual([]);
    // One batch, in two parts at the same time.
    expect(read).toHaveBeenCalledTimes(2);
  });
});
