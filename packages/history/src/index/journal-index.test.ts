import { EvertreeError, type Disk, type Store } from '@evertree/core';
import { expect, test } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { ManualClock, systemClock } from '../../../../test/support/host.ts';
import { diskStore } from '../../../../test/support/stores.ts';
import { IndexBuilder, type BuildingEvents } from './index-builder.ts';
import { JournalIndex, type JournalIndexOptions } from './journal-index.ts';

/** Builds nothing. */
const IDLE = { extend: () => undefined, drop: () => undefined, close: async () => undefined };

/** What an index reads from, with the paths of the files that are open. */
function countingDisk(disk: FaultDisk): Pick<Disk, 'open' | 'list'> & { readonly opened: string[] } {
  const opened: string[] = [];
  return {
    opened,
    list: directory => disk.list(directory),
    open: async (path, options) => {
      const file = await disk.open(path, options);
      opened.push(path);
      const close = file.close.bind(file);
      return Object.assign(file, {
        close: async () => {
          await close();
          opened.splice(opened.indexOf(path), 1);
        },
      });
    },
  };
}

async function prepare(commits: number) {
  const disk = new FaultDisk();
  const journalOptions = { segmentBytes: 8_192, retentionMaxBytes: 30_000, retentionRewindMs: 0, retentionMaxMs: 1 };
  const { store } = await diskStore(disk, { journalOptions });
  await commit(store, commits);
  const build = (events: BuildingEvents) => new IndexBuilder({ disk, breathe: () => undefined }, events);
  const { index, opened } = openIndex(disk, store, { build });
  await index.caughtUp();
  const close = async () => {
    await index.close();
    await store.close();
  };
  return { disk, store, index, opened, [Symbol.asyncDispose]: close };
}

function openIndex(disk: FaultDisk, { journal }: Store, options: Partial<JournalIndexOptions>) {
  const read = countingDisk(disk);
  const others = { log: journal.log, clock: systemClock, report: () => undefined, build: () => IDLE };
  return { index: new JournalIndex({ disk: read, ...others, ...options }), opened: read.opened };
}

async function commit(store: Store, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    store.put(['k', String(number % 7)], `${number} ${'x'.repeat(200)}`);
    if (number % 10 === 9) await store.flush();
  }
  await store.flush();
}

/** The values that were put, the newest first. */
async function readAll(index: JournalIndex, store: Store): Promise<void> {
  for await (const touches of index.touches([], { after: index.after, upTo: store.journal.log.stable.revision })) {
    await Array.fromAsync(index.read(touches));
  }
}

function removed(disk: FaultDisk, opened: readonly string[]): string[] {
  return opened.filter(path => !disk.files.includes(path));
}

test('segments that retention removed are closed once the history grows, so that their room is free', async () => {
  await using prepared = await prepare(200);
  const { disk, store, index, opened } = prepared;
  await readAll(index, store);
  expect(opened.filter(path => path.startsWith('journal/')).length).toBeGreaterThan(3);
  await store.saveSnapshot();
  await store.journal.retention.apply();
  expect(store.journal.log.base.revision).toBeGreaterThan(0);
  expect(removed(disk, opened)).not.toEqual([]);
  await commit(store, 1);
  await expect.poll(() => removed(disk, opened)).toEqual([]);
});

test('a question that opens a segment while it is being removed leaves it closed', async () => {
  await using prepared = await prepare(200);
  const { disk, store, index, opened } = prepared;
  const touches = (await Array.fromAsync(index.touches([], { after: 0, upTo: 200 }))).flat();
  const question = index.read(touches)[Symbol.asyncIterator]();
  await question.next();
  const remove = disk.hold('remove', /^journal/);
  const retained = store.saveSnapshot().then(() => store.journal.retention.apply());
  await expect.poll(() => store.journal.log.base.revision).toBeGreaterThan(0);
  await commit(store, 1);
  while ((await question.next()).done !== true);
  remove();
  await retained;
  await expect.poll(() => removed(disk, opened)).toEqual([]);
});

test('a run that can’t be looked up in the journal is closed', async () => {
  await using prepared = await prepare(200);
  const { disk, store, index } = prepared;
  await index.close();
  store.journal.log.find = async () => Promise.reject(new EvertreeError('STORAGE_FAILED', 'the disk has gone'));
  const told = Promise.withResolvers<string>();
  const blind = openIndex(disk, store, { report: ({ event }) => told.resolve(event) });
  expect(await told.promise).toBe('index-unreadable');
  await blind.index.close();
  expect(blind.opened).toEqual([]);
});

test('an index that is closed before its files are listed leaves no timer', async () => {
  await using prepared = await prepare(300);
  const { disk, store, index } = prepared;
  await index.close();
  const clock = new ManualClock();
  const { index: next } = openIndex(disk, store, { clock });
  await next.close();
  expect(clock.nextInMs).toBe(Infinity);
});

test('a list of files that is told just when those of another one are open is heeded', async () => {
  await using prepared = await prepare(200);
  const { disk, store, index } = prepared;
  await commit(store, 400);
  await index.caughtUp();
  const files = [...index.files];
  expect(files.length).toBeGreaterThan(1);
  await index.close();
  for (let turns = 0; turns < 12; turns++) {
    let told: BuildingEvents | undefined;
    const build = (events: BuildingEvents) => {
      told = events;
      return { ...IDLE, extend: () => events.idle(Infinity) };
    };
    const { index: next } = openIndex(disk, store, { build });
    await expect.poll(() => next.files).toEqual(files);
    told!.changed(files.slice(0, 1));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    told!.changed(files);
    await next.caughtUp();
    expect(next.files, `told after ${turns} turns`).toEqual(files);
    await next.close();
  }
});
