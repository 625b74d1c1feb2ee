import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { compareIndex, openIndex } from '../support/index-oracle.ts';
import { isAtOrBelow, RandomHistory, touchesOf } from '../support/random-history.ts';
import { diskStore, framesOf } from '../support/stores.ts';

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

describe('a path that much of the history concerns', () => {
  it('has its touches told newest first, in any range', async () => {
    const history = new RandomHistory(41);
    const disk = new FaultDisk();
    await using store = (await diskStore(disk)).store;
    const key = () => `k${history.below(30)}`;
    for (let commit = 0; commit < 60; commit++) {
      store.transact(tx => {
        for (let left = 400; left > 0; left--) {
          if (history.below(9) === 0) tx.put(['else', key()], history.below(1_000_000));
          else tx.put(['wide', key(), '\u0001', `${history.below(60)}`], history.below(1_000_000));
        }
        if (commit % 20 === 19) tx.put('/wide', { k1: { '\u0001': { 1: commit } } });
        if (commit % 13 === 12) tx.delete(['wide', store.get('/wide/k1') === undefined ? 'k2' : 'k1']);
      });
      if (commit % 3 === 0) await store.flush();
    }
    await store.flush();
    const { index } = openIndex(disk, store);
    await index.caughtUp();
    expect(index.files).toHaveLength(1);
    const told = touchesOf(await framesOf(store.journal)).toReversed();
    expect(told.length).toBeGreaterThan(16_384);
    for (const path of [['wide'], ['wide', 'k1'], ['else'], [], ['wide', 'k1', '\u0001', '7'], ['\ud800']]) {
      const after = history.below(30);
      const upTo = after + history.below(index.upTo - after + 1);
      const expected = told.filter(
        touch => touch.revision > after && touch.revision <= upTo && (isAtOrBelow(path, touch.path) || isAtOrBelow(touch.path, path)),
      );
      const touches = (await Array.fromAsync(index.touches(path, { after, upTo }))).flat();
      expect(touches.map(({ revision, operation, kind }) => [revision, operation, kind])).toEqual(
        expected.map(({ revision, operation, kind }) => [revision, operation, kind]),
      );
      expect(touches.map(each => each.path)).toEqual(expected.map(each => each.path));
    }
    await index.close();
  });
});
