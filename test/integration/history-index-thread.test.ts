import { execFile } from 'node:child_process';
import { constants, readFileSync, readdirSync } from 'node:fs';
import { link, mkdir, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ORIGIN } from '@evertree/core';
import { IndexThread, JournalIndex } from '@evertree/history';
import { nodeDisk } from '@evertree/journal';
import { openStore } from 'evertree';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../support/host.ts';
import { until } from '../support/http-site.ts';
import { collectReports } from '../support/reports.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'evertree-index-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** What Linux tells of a thread of this process. */
function threadFile(thread: string, file: 'comm' | 'wchan'): string {
  return readFileSync(`/proc/self/task/${thread}/${file}`, 'utf8').trim();
}

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
    const store = await openStore({ data: directory, log: report });
    await store.put('/a', 1).durable;
    await store.changeIndex!.caughtUp();
    // As a mount whose server is away: whoever opens it waits for one that writes to it.
    const pipe = join(directory, 'pipe');
    const segment = join(directory, 'journal', '0000000009-0000000000000001.evj');
    await promisify(execFile)('mkfifo', [pipe]);
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
      await (await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK)).close();
    }
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
    const thread = new IndexThread(directory, {
      changed: () => undefined,
      dropped: () => undefined,
      stuck: () => undefined,
      failed: error => expect.unreachable(error.message),
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
