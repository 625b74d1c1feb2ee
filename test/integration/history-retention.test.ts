import { isEvertreeError, type Value } from '@evertree/core';
import { HistoryQueries, IndexBuilder, JournalIndex } from '@evertree/history';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock } from '../support/host.ts';
import { diskStore } from '../support/stores.ts';

const KEYS = 7;
const ROUNDS = 40;
const COMMITS_A_ROUND = 60;

describe('questions while commits, snapshots and retention go on', () => {
  it('are answered as the history was, or with COMPACTED', async () => {
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, {
      journalOptions: { segmentBytes: 8_192, retentionMaxBytes: 60_000, retentionRewindMs: 0, retentionMaxMs: 3_600_000 },
    });
    await using _ = store;
    const options = { disk, log: store.journal.log, clock: systemClock, report: () => undefined };
    await using index = new JournalIndex({ ...options, build: events => new IndexBuilder({ disk, breathe: () => undefined }, events) });
    const queries = new HistoryQueries({ store, index });
    /** By revision, the value of each key. */
    const states: (Value | undefined)[][] = [Array.from({ length: KEYS }, () => undefined)];
    const answers = { right: 0, compacted: 0 };

    async function ask(draw: number): Promise<void> {
      const revision = 1 + (draw % store.position.revision);
      const key = String(draw % KEYS);
      try {
        const { value } = await queries.read(['k', key], { epoch: 1, revision });
        expect(value).toBe(states[revision]![Number(key)]);
        for await (const { position, operations } of queries.changes(['k', key], { limit: 5, values: true, to: { epoch: 1, revision } })) {
          expect(operations[0]!.before).toBe(states[position.revision - 1]![Number(key)]);
          expect(operations[0]!.after).toBe(states[position.revision]![Number(key)]);
        }
        answers.right++;
      } catch (error) {
        if (!isEvertreeError(error, 'COMPACTED')) throw error;
        answers.compacted++;
      }
    }

    for (let round = 0; round < ROUNDS; round++) {
      const asking = Array.from({ length: round === 0 ? 0 : 6 }, (...[, at]) => ask(round * 7_919 + at * 104_729));
      for (let commit = 0; commit < COMMITS_A_ROUND; commit++) {
        const key = (round * 31 + commit * commit) % KEYS;
        const value = `${round}.${commit} ${'x'.repeat(40)}`;
        const { position } = store.put(['k', String(key)], value);
        while (states.length < position.revision) states.push(states.at(-1)!);
        states.push(states.at(-1)!.with(key, value));
        if (commit % 20 === 19) await store.flush();
      }
      if (round % 4 === 3) await store.saveSnapshot();
      await Promise.all(asking);
    }
    expect(store.journal.log.base.revision).toBeGreaterThan(0);
    expect(answers.right).toBeGreaterThan(50);
    expect(answers.compacted).toBeGreaterThan(10);
    expect(index.upTo).toBeGreaterThan(0);
  });
});
