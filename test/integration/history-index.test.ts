import { type Path, type Position, type Store } from '@evertree/core';
import { IndexBuilder, JournalIndex, type FoundChange, type Touch } from '@evertree/history';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock } from '../support/host.ts';
import { comparePaths, isAtOrBelow, RandomHistory, type ToldTouch, touchesOf } from '../support/random-history.ts';
import { collectReports } from '../support/reports.ts';
import { diskStore, framesOf } from '../support/stores.ts';

function openIndex(disk: FaultDisk, store: Store) {
  const { reports, report } = collectReports();
  const index = new JournalIndex({
    disk,
    log: store.journal.log,
    clock: systemClock,
    report,
    build: events => new IndexBuilder({ disk, breathe: () => undefined }, events),
  });
  return { index, reports };
}

async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function plain({ revision, operation, kind, path }: Touch): Touch {
  return { revision, operation, kind, path: [...path] };
}

/** Compares all answers about some paths with what the frames tell. */
async function compare(index: JournalIndex, told: readonly ToldTouch[], history: RandomHistory, looks: number): Promise<void> {
  const { after, upTo } = index;
  const known = told.filter(({ revision }) => revision > after && revision <= upTo);
  const newestFirst = known.toReversed();
  for (let look = 0; look < looks; look++) {
    const path: Path = history.below(3) === 0 ? history.path() : history.pick(told).path.slice(0, history.below(5));
    const moment = after + history.below(upTo - after + 2);
    const newest = newestFirst.find(touch => touch.revision <= moment && isAtOrBelow(path, touch.path));
    expect(await index.newest(path, moment)).toEqual(newest === undefined ? undefined : plain(newest));

    const below = new Map<string, ToldTouch>();
    for (const touch of newestFirst) {
      const name = JSON.stringify(touch.path);
      if (touch.revision <= moment && isAtOrBelow(touch.path, path) && !below.has(name)) below.set(name, touch);
    }
    const expected = [...below.values()].toSorted((a, b) => comparePaths(a.path, b.path)).map(plain);
    expect(await gather(index.newestBelow(path, moment))).toEqual(expected);
    expect(await index.weight(path)).toBeGreaterThanOrEqual(expected.length);

    const from = after + history.below(upTo - after + 1);
    const concerned = newestFirst.filter(
      touch => touch.revision > from && touch.revision <= moment && (isAtOrBelow(path, touch.path) || isAtOrBelow(touch.path, path)),
    );
    const touches = await gather(index.touches(path, { after: from, upTo: moment }));
    expect(touches.map(plain)).toEqual(concerned.map(plain));
    const first = history.below(touches.length + 1);
    expect(await gather(index.read(touches.slice(first, first + 40)))).toEqual(changesOf(concerned.slice(first, first + 40)));
  }
}

function changesOf(touches: readonly ToldTouch[]): FoundChange[] {
  const changes: (Omit<FoundChange, 'touches'> & { touches: FoundChange['touches'][number][] })[] = [];
  for (const touch of touches) {
    const position: Position = { epoch: touch.epoch, revision: touch.revision };
    if (changes.at(-1)?.position.revision !== touch.revision) {
      changes.push({ position, time: touch.time, author: touch.author, message: touch.message, touches: [] });
    }
    changes.at(-1)!.touches.push({ touch: plain(touch), value: touch.value });
  }
  return changes;
}

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
        await compare(index, touchesOf(await framesOf(store.journal)), history, 8);
        expect(reports).toEqual([]);
        await index.close();
        await store.close();
        store = (await diskStore(disk, { encoding })).store;
      }
      await store.close();
    });
  }
});
