import { readFileSync, readdirSync } from 'node:fs';
import { link, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExactPosition, ORIGIN } from '@evertree/core';
import { type BuildingEvents, IndexThread, JournalIndex } from '@evertree/history';
import { nodeDisk } from '@evertree/journal';
import { openStore } from 'evertree';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../support/host.ts';
import { until } from '../support/http-site.ts';
import { makePipe, openedByReader } from '../support/pipes.ts';
import { collectReports } from '../support/reports.ts';
import { openFilesIn, ThreadExits } from '../support/thread-exits.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'evertree-index-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** What Linux tells of a thread of this process. */
function threadFile(thread: string, file: 'comm' | 'wchan'): string {
  return readFileSync(`/proc/self/task/${thread}/${file}`, 'utf8').trim();
}

/** A thread that builds the index of the directory. */
function indexThread(events: Partial<BuildingEvents> = {}): IndexThread {
  return new IndexThread(directory, {
    changed: () => undefined,
    dropped: () => undefined,
    stuck: () => undefined,
    failed: error => expect.unreachable(error.message),
    idle: () => undefined,
    ...events,
  });
}

/** The history of a site that was closed. */
async function writeHistory(commits: number): Promise<{ readonly base: ExactPosition; readonly stable: ExactPosition }> {
  await using store = await openStore({ data: directory });
  for (let n = 0; n < commits; n++) store.put(`/a/k${n % 1_000}`, n);
  await store.flush();
  const { base, stable } = store.journal.log;
  return { base, stable };
}

/** By its name a segment of the journal. */
const segmentPath = (): string => join(directory, 'journal', '0000000009-0000000000000001.evj');

/** Whether the thread that builds the index opens a named pipe that nobody writes to. */
function opensPipe(): boolean {
  const thread = readdirSync('/proc/self/task').find(each => threadFile(each, 'comm') === 'evertree-index');
  return thread !== undefined && threadFile(thread, 'wchan') === 'wait_for_partner';
}

describe('a site builds its index in a thread of its own', () => {
  it('covers what is stable, answers from it, and finds it again at the next opening', async () => {
    {
      await using store = await openStore({ data: directory });
      for (let n = 0; n < 1_000; n++) store.put(`/a/k${n % 10}`, n, { author: `author ${n % 3}` });
      await store.flush();
      const index = store.changeIndex!;
      await index.caughtUp();
      expect(index.upTo).toBe(store.position.revision);
      const newest = (await index.newest(['a', 'k3'], 500))!;
      expect(newest).toMatchObject({ kind: 'put', path: ['a', 'k3'] });
      const [change] = await Array.fromAsync(index.read([newest]));
      expect(change!.touches[0]!.value).toBe(493);
    }
    expect((await readdir(join(directory, 'index'))).length).toBe(1);
    await using store = await openStore({ data: directory });
    const index = store.changeIndex!;
    await index.caughtUp();
    expect(index.upTo).toBe(store.position.revision);
    expect((await Array.fromAsync(index.newestBelow(['a'], 700))).flat()).toHaveLength(10);
  });

  it.runIf(process.platform === 'linux')('closes although a call to the disk of its thread does not return', async () => {
    const { reports, report } = collectReports();
    using exits = new ThreadExits();
    const store = await openStore({ data: directory, log: report });
    await store.put('/a', 1).durable;
    await store.changeIndex!.caughtUp();
    const segment = segmentPath();
    const pipe = join(directory, 'pipe');
    await makePipe(pipe);
    await link(pipe, segment);
    try {
      await store.put('/a', 2).durable;
      void store.changeIndex!.caughtUp();
      await until(opensPipe, 30_000);
      await store.close();
      expect(reports.map(({ event }) => event)).toEqual(['index-thread-stuck']);
      await rm(segment);
      // The directory is free.
      await using again = await openStore({ data: directory, log: report });
      expect(again.get('/a')).toBe(2);
    } finally {
      // The call returns, and the thread ends.
      await (await openedByReader(pipe, 30_000)).close();
    }
    // It was terminated, as the last resort.
    await until(() => exits.codes.length > 0, 30_000);
    expect(exits.codes).toEqual([1]);
  });

  it.runIf(process.platform === 'linux')('leaves its work in the middle and ends by itself, with its files closed', async () => {
    const range = await writeHistory(200_000);
    using exits = new ThreadExits();
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    // It goes on with the second run of four.
    const thread = indexThread({ changed: paths => (paths.length > 0 ? resolve() : undefined) });
    thread.extend(range, 1);
    await begun;
    await thread.close();
    expect(exits.codes).toEqual([0]);
    expect(openFilesIn(directory)).toEqual([]);
    expect((await readdir(join(directory, 'index'))).filter(name => !name.endsWith('.evi'))).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('goes no further when a call returns that it was told to end in', async () => {
    const range = await writeHistory(10);
    await makePipe(segmentPath());
    using exits = new ThreadExits();
    const thread = indexThread();
    thread.extend(range, 1);
    await until(opensPipe, 30_000);
    const closing = thread.close();
    await (await openedByReader(segmentPath(), 30_000)).close();
    await closing;
    expect(exits.codes).toEqual([0]);
    expect(openFilesIn(directory)).toEqual([]);
    expect(await readdir(join(directory, 'index'))).toEqual([]);
  });

  it('begins no thread where there is nothing to index', async () => {
    await using store = await openStore({ data: directory });
    await store.put('/a', 1).durable;
    expect(await readdir(directory)).not.toContain('index');
  });

  it('leaves the processor to a site that starts and writes fast, for a second', async () => {
    const clock = new ManualClock();
    const asked: number[] = [];
    await using store = await openStore({ data: directory });
    await using index = new JournalIndex({
      disk: nodeDisk(directory),
      log: store.journal.log,
      clock,
      report: () => undefined,
      build: () => ({ extend: ({ stable }) => asked.push(stable.revision), drop: () => undefined, close: async () => undefined }),
    });
    for (const end of [70_000, 140_000, 210_000]) {
      while (store.position.revision < end) store.put('/a', store.position.revision);
      await store.flush();
      if (end === 140_000) clock.advance(1_000);
    }
    expect(index.upTo).toBe(0);
    // From the second request on, as soon as there is enough for a run.
    expect(asked).toHaveLength(2);
    expect(asked[0]).toBe(140_000);
    expect(asked[1]).toBeGreaterThanOrEqual(140_000 + 65_536);
  });

  it('counts the ranges that were asked for, also where the thread began to drop a file', async () => {
    await mkdir(join(directory, 'journal'));
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const told: number[] = [];
    const thread = indexThread({
      idle: requests => {
        if (told.push(requests) === 1) thread.extend({ base: ORIGIN, stable: ORIGIN }, 1);
        else resolve();
      },
    });
    thread.drop(['index/unsound']);
    await done;
    expect(told).toEqual([0, 1]);
    await thread.close();
  });
});
