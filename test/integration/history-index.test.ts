import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { compareIndex, openIndex } from '../support/index-oracle.ts';
import { RandomHistory } from '../support/random-history.ts';
import { diskStore } from '../support/stores.ts';

describe('an index tells what the frames tell', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const encoding = seed % 3 === 0 ? 'json' : 'binary';
    it(`of a random ${encoding} history (seed ${seed})`, async () => {
      const history = new RandomHistory(seed);
      const disk = new FaultDisk();
      let store = (await diskStore(disk, { encoding })).store;
      for (let round = 0; round < 4; round++) {
        const { index, reports } = openIndex(disk, store);
        for (let stretch = 0; stretch < 6; stretch++) {
          for (let left = history.below(100); left > 0; left--) {
            history.commit(store);
            if (history.below(20) === 0) await store.flush();
          }
          await store.flush();
          await index.caughtUp();
        }
        expect(index.upTo).toBe(store.journal.log.stable.revision);
        expect(index.after).toBe(0);
        await compareIndex(index, store, history, 8);
        expect(reports).toEqual([]);
        await index.close();
        await store.close();
        store = (await diskStore(disk, { encoding })).store;
      }
      await store.close();
    });
  }
});
