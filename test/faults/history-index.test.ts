import type { ExactPosition, Store } from '@evertree/core';
import { IndexBuilder, IndexOutdated, type JournalIndex, proveIndex } from '@evertree/history';
import { describe, expect, it } from 'vitest';
import { dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { compareIndex, openIndex } from '../support/index-oracle.ts';
import { RandomHistory, touchesOf } from '../support/random-history.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';

/** A store with a history and an index of several runs. */
async function prepare(seed: number, stretches = 10) {
  const disk = new FaultDisk();
  const history = new RandomHistory(seed);
  const { store } = await diskStore(disk);
  const { index, reports } = openIndex(disk, store);
  await stretch(store, history, index, stretches);
  return { disk, history, store, index, reports };
}

async function stretch(store: Store, history: RandomHistory, index: JournalIndex | undefined, count: number): Promise<void> {
  for (let left = count; left > 0; left--) {
    for (let commits = 10; commits > 0; commits--) history.commit(store);
    await store.flush();
    await index?.caughtUp();
  }
}

function runsOf(disk: FaultDisk): string[] {
  return disk.files.filter(file => file.startsWith('index/')).toSorted();
}

/** Opens the store again, as the next process does, and holds that its index covers all and is right. */
async function expectWhole(disk: FaultDisk, seed: number, isAllowed = (events: readonly string[]) => events.length === 0): Promise<void> {
  await using store = (await diskStore(disk)).store;
  const { index, reports } = openIndex(disk, store);
  // A block that is damaged shows itself when it is read.
  await readAll(index, store);
  await index.caughtUp();
  expect({ after: index.after, upTo: index.upTo }).toEqual({ after: 0, upTo: store.journal.log.stable.revision });
  await compareIndex(index, store, new RandomHistory(seed), 6);
  const events = reports.map(({ event }) => event);
  expect(isAllowed(events), events.join()).toBe(true);
  expect(runsOf(disk).filter(file => file.endsWith('.tmp'))).toEqual([]);
  expect([...index.files].toSorted()).toEqual(runsOf(disk));
  const { base, stable: last } = store.journal.log;
  const proven = await Array.fromAsync(proveIndex(disk, { base, last }));
  expect(proven.map(({ file, problem }) => [file, problem])).toEqual(runsOf(disk).map(file => [file, undefined]));
  expect(proven.reduce((sum, { operations }) => sum + operations, 0)).toBe(touchesOf(await framesOf(store.journal)).length);
  await index.close();
}

/** Asks for everything, until nothing is found any more that is of no use. */
async function readAll(index: JournalIndex, store: Store): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await index.caughtUp();
      const touches = (await Array.fromAsync(index.touches([], { after: 0, upTo: store.position.revision }))).flat();
      await Array.fromAsync(index.read(touches));
      return;
    } catch (error) {
      if (!(error instanceof IndexOutdated) || attempt > 20) throw error;
    }
  }
}

describe('a death while the index is built and merged', () => {
  it('leaves what the next process can use, at whatever step', async () => {
    await dieAtEachStep(
      async () => {
        const disk = new FaultDisk();
        const history = new RandomHistory(7);
        const { store } = await diskStore(disk);
        // Runs of one size, one short of a merge.
        const { index } = openIndex(disk, store);
        await stretch(store, history, index, 7);
        await index.close();
        await stretch(store, history, undefined, 1);
        await store.close();
        return { disk, store: (await diskStore(disk)).store };
      },
      async ({ disk, store }) => {
        const { index } = openIndex(disk, store);
        await index.caughtUp();
        await index.close();
        if (disk.isDead) throw new Error('it died');
      },
      async ({ found, where }) => {
        // Runs are not synced while they are small.
        const mayDrop = where.includes('power loss');
        try {
          await expectWhole(found, 7, events => events.every(event => mayDrop && event === 'index-dropped'));
        } catch (error) {
          throw new Error(where, { cause: error });
        }
      },
    );
  });
});

describe('a file of the index that is', () => {
  const harms: [string, (bytes: Buffer, history: RandomHistory) => Buffer][] = [
    ['torn', (bytes, history) => bytes.subarray(0, history.below(bytes.length))],
    ['empty', () => Buffer.alloc(0)],
    ['full of zeros', bytes => Buffer.alloc(bytes.length)],
    ['longer than it was', bytes => Buffer.concat([bytes, Buffer.alloc(100)])],
    [
      'of another version',
      bytes => {
        bytes[4] = 2;
        return bytes;
      },
    ],
    ...Array.from({ length: 12 }, (_, seed): [string, (bytes: Buffer) => Buffer] => [
      `flipped in one bit (seed ${seed})`,
      bytes => {
        const at = new RandomHistory(seed).below(bytes.length * 8);
        bytes[at >>> 3]! ^= 1 << (at & 7);
        return bytes;
      },
    ]),
  ];

  it.each(harms)('%s is found, reported once, and made anew', async (_, harm) => {
    const { disk, history, store, index } = await prepare(11);
    await index.close();
    await store.close();
    const file = history.pick(runsOf(disk));
    disk.overwrite(file, bytes => harm(bytes, history));
    const range = { base: store.journal.log.base, last: store.position };
    const proven = await Array.fromAsync(proveIndex(disk, range));
    expect(proven.filter(({ problem }) => problem !== undefined).map(each => each.file)).toEqual([file]);
    const before = runsOf(disk).length;
    await expectWhole(disk, 12, events => events.join() === 'index-dropped');
    expect(before).toBeGreaterThan(1);
  });

  it('missing is made anew', async () => {
    const { disk, history, store, index } = await prepare(13);
    await index.close();
    await store.close();
    disk.overwrite(history.pick(runsOf(disk)), () => Buffer.alloc(0));
    for (const file of runsOf(disk)) if (disk.bytes(file).length === 0) await disk.remove(file);
    await expectWhole(disk, 14);
  });

  it('swapped with that of another history is found', async () => {
    const one = await prepare(15, 3);
    const other = await prepare(16, 3);
    for (const { index, store } of [one, other]) {
      await index.close();
      await store.close();
    }
    for (const file of runsOf(one.disk)) await one.disk.remove(file);
    for (const file of runsOf(other.disk)) one.disk.place(file, other.disk.bytes(file));
    await expectWhole(one.disk, 17);
  });
});

describe('a damaged segment', () => {
  it('is not answered from: the question fails, and never gives another value', async () => {
    const { disk, store, index } = await prepare(19, 4);
    const [segment] = disk.files.filter(file => file.endsWith('.evj'));
    const touches = (await Array.fromAsync(index.touches([], { after: 0, upTo: index.upTo }))).flat();
    const sound = await Array.fromAsync(index.read(touches));
    disk.overwrite(segment!, bytes => {
      bytes[600]! ^= 1;
      return bytes;
    });
    let failures = 0;
    for (const change of sound) {
      try {
        expect(await Array.fromAsync(index.read(change.touches.map(({ touch }) => touch)))).toEqual([change]);
      } catch (error) {
        expect(error).toBeInstanceOf(IndexOutdated);
        failures++;
        break;
      }
    }
    expect(failures).toBe(1);
    await index.close();
    await store.close();
  });
});

describe('a full disk', () => {
  it('makes no commit fail; it is told once, and the index goes on when there is room', async () => {
    const { disk, history, store, index, reports } = await prepare(21, 2);
    const { upTo } = index;
    {
      using _ = disk.fail({ operation: 'write', path: /^index/, code: 'ENOSPC' });
      await stretch(store, history, index, 3);
      expect(index.upTo).toBe(upTo);
      expect(runsOf(disk).filter(file => file.endsWith('.tmp'))).toEqual([]);
      await compareIndex(index, store, history, 3);
    }
    expect(reports.map(({ event }) => event)).toEqual(['index-failed']);
    await index.caughtUp();
    expect(index.upTo).toBe(store.position.revision);
    await compareIndex(index, store, history, 3);
    await index.close();
    await store.close();
  });
});

describe('an index follows a history', () => {
  it('that is cut back and goes on otherwise, again and again', async () => {
    const history = new RandomHistory(23);
    const disk = new FaultDisk();
    await using primary = (await memoryStore({ site: 'a' })).store;
    await using store = (await diskStore(disk, { site: 'b', role: 'secondary' })).store;
    const { index, reports } = openIndex(disk, store);
    for (let commits = 100; commits > 0; commits--) history.commit(primary);
    await primary.flush();
    for (const frame of await framesOf(primary.journal)) store.applyFrame(frame);
    await store.flush();
    for (let round = 0; round < 12; round++) {
      await index.caughtUp();
      const frames = await framesOf(store.journal);
      const back = frames.at(-1 - history.below(Math.min(frames.length, 12)))!.header.last;
      await store.rewind(back);
      if (history.below(2) === 0) await compareIndex(index, store, history, 2);
      const id = Array.from({ length: 16 }, () => history.below(16).toString(16)).join('');
      store.beginEpoch({ number: back.epoch + 1, id }, 'a test asked for it');
      for (let commits = history.below(40); commits > 0; commits--) {
        history.commit(store);
        if (history.below(4) === 0) await store.flush();
      }
      await store.flush();
      await compareIndex(index, store, history, 2);
      await store.follow();
    }
    await index.caughtUp();
    expect(index.upTo).toBe(store.position.revision);
    await compareIndex(index, store, history, 10);
    expect(reports).toEqual([]);
    await index.close();
  });

  it('that is replaced by a full copy', async () => {
    const history = new RandomHistory(25);
    const disk = new FaultDisk();
    await using primary = (await memoryStore({ site: 'a' })).store;
    await using store = (await diskStore(disk, { site: 'b', role: 'secondary' })).store;
    const { index, reports } = openIndex(disk, store);
    for (let round = 0; round < 4; round++) {
      for (let commits = 60; commits > 0; commits--) history.commit(primary);
      await primary.flush();
      using snapshot = primary.snapshot();
      const receiver = await store.receiveSnapshot(snapshot.header);
      for (const chunk of snapshot.chunks()) await receiver.add(chunk);
      await receiver.finish();
      await index.caughtUp();
      expect(index.after).toBe(index.upTo);
      const copied = store.position.revision;
      for (let commits = 40; commits > 0; commits--) history.commit(primary);
      await primary.flush();
      for (const frame of await framesOf(primary.journal)) if (frame.header.base.revision >= copied) store.applyFrame(frame);
      await store.flush();
      await index.caughtUp();
      expect({ after: index.after, upTo: index.upTo }).toEqual({ after: copied, upTo: store.position.revision });
      await compareIndex(index, store, history, 6);
    }
    expect(reports).toEqual([]);
    await index.close();
  });

  it('whose beginning is dropped by retention', async () => {
    const history = new RandomHistory(27);
    const disk = new FaultDisk();
    const journalOptions = { segmentBytes: 4_096, retentionRewindMs: 0, retentionMaxBytes: 1024 * 1024 };
    await using store = (await diskStore(disk, { journalOptions })).store;
    const { index, reports } = openIndex(disk, store);
    for (let round = 0; round < 6; round++) {
      await stretch(store, history, index, 4);
      await store.saveSnapshot();
      await store.journal.retention.apply();
      await compareIndex(index, store, history, 4);
      await stretch(store, history, index, 1);
      await compareIndex(index, store, history, 4);
    }
    expect(store.journal.log.base.revision).toBeGreaterThan(100);
    expect(index.after).toBe(store.journal.log.base.revision);
    expect(reports).toEqual([]);
    await index.close();
  });

  it('although the range that it is to cover begins before what retention has dropped since', async () => {
    const { disk, store, built, stuck, builder } = await prepareBuilder(29);
    const before = { base: store.journal.log.base, stable: store.journal.log.stable };
    await store.saveSnapshot();
    await store.journal.retention.apply();
    const { base, stable } = store.journal.log;
    expect(base.revision).toBeGreaterThan(before.base.revision);
    builder.extend(before, 1);
    await built();
    expect(stuck).toEqual([]);
    builder.extend({ base, stable }, 1);
    await built();
    const proven = await Array.fromAsync(proveIndex(disk, { base, last: stable }));
    expect(proven).toEqual([expect.objectContaining({ problem: undefined })]);
    await builder.close();
    await store.close();
  });

  it('up to where segments are missing, and tells that once', async () => {
    const { disk, store, built, stuck, builder } = await prepareBuilder(30);
    const segments = disk.files.filter(file => file.startsWith('journal/')).toSorted();
    expect(segments.length).toBeGreaterThan(4);
    await disk.remove(segments[2]!);
    const { base, stable } = store.journal.log;
    for (let asked = 0; asked < 2; asked++) {
      builder.extend({ base, stable }, 1);
      await built();
    }
    expect(stuck).toHaveLength(1);
    await builder.close();
    await store.close();
  });
});

/** A history of many segments without an index, and who builds one. */
async function prepareBuilder(seed: number) {
  const disk = new FaultDisk();
  const journalOptions = { segmentBytes: 4_096, retentionRewindMs: 0, retentionMaxBytes: 16_384 };
  const { store } = await diskStore(disk, { journalOptions });
  await stretch(store, new RandomHistory(seed), undefined, 20);
  const stuck: ExactPosition[] = [];
  let idle = Promise.withResolvers<void>();
  const builder = new IndexBuilder(
    { disk, breathe: () => undefined },
    {
      changed: () => undefined,
      dropped: () => undefined,
      stuck: position => stuck.push(position),
      failed: error => expect.unreachable(error.message),
      idle: () => idle.resolve(),
    },
  );
  const built = () => {
    idle = Promise.withResolvers();
    return idle.promise;
  };
  return { disk, store, builder, stuck, built };
}
