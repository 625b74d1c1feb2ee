import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ARCHIVER_DEFAULTS, ArchiveThread, type ArchiveThreadOptions, initArchive, openTarget } from '@evertree/archive';
import type { Report, Store } from '@evertree/core';
import { openStore } from 'evertree';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { until } from '../support/http-site.ts';
import { makePipe, openedByReader } from '../support/pipes.ts';
import { expectErrors, strictReport } from '../support/reports.ts';
import { openFilesIn, ThreadExits } from '../support/thread-exits.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'evertree-archive-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A bound on what hangs. */
const LIMIT_MS = 20_000;

const site = (): string => join(directory, 'site');
const place = (): string => join(directory, 'archive');

/** A thread that archives a store, with what it told. */
class Archiving {
  readonly thread: ArchiveThread;
  readonly reports: Report[] = [];
  #listeners: (() => void)[] = [];

  constructor(store: Store, options: Partial<ArchiveThreadOptions> = {}) {
    this.thread = new ArchiveThread({
      directory: site(),
      site: store.site,
      target: place(),
      settings: {},
      recipients: undefined,
      follow: { ...ARCHIVER_DEFAULTS, everyMs: 10 },
      log: store.journal.log,
      clock,
      events: {
        report: report => this.#take(report),
        lease: ({ name, position }) => store.journal.leases.hold('backup', name, position),
        makeSnapshot: async () => void (await store.saveSnapshot()),
      },
      ...options,
    });
  }

  async reported(event: string): Promise<void> {
    while (!this.reports.some(report => report.event === event)) await new Promise<void>(resolve => this.#listeners.push(resolve));
  }

  #take(report: Report): void {
    this.reports.push(report);
    strictReport(report);
    for (const listener of this.#listeners.splice(0)) listener();
  }
}

/** In one step: a thread that waits for it, and finds the directory without HEAD, is refused and looks again much later. */
async function makeArchive(): Promise<void> {
  const made = `${place()}.made`;
  await mkdir(made);
  {
    await using target = await openTarget(made, { clock, random });
    await initArchive(target, { sealing: 'plain', conditions: true, random });
  }
  await rename(made, place());
}

async function check() {
  await using target = await openTarget(place(), { clock, random });
  return await checkArchive(target);
}

describe('a thread that archives', () => {
  it('archives a site that runs, and says how far it is', async () => {
    await makeArchive();
    await using store = await openStore({ data: site() });
    const archiving = new Archiving(store);
    await using thread = archiving.thread;
    for (let n = 0; n < 2_000; n++) store.put(`/a/k${n % 100}`, n);
    await store.flush();
    const result = await thread.backup();
    expect(result).toMatchObject({ position: store.position, digest: store.digest });
    expect(thread.status).toMatchObject({
      state: 'archiving',
      position: store.position,
      lag: { commits: 0, milliseconds: 0 },
      lastError: null,
    });
    expect([...store.journal.leases.of('backup')]).toEqual([[result.archive, { position: store.position, expiresAt: undefined }]]);
    expect((await check())[0]).toMatchObject({ last: store.position, digest: store.digest });
    expect(archiving.reports).toEqual([]);
  });

  it('makes single backups, each of what is new', async () => {
    await makeArchive();
    await using store = await openStore({ data: site() });
    await using thread = new Archiving(store, { follow: undefined }).thread;
    await store.put('/a', 1).durable;
    expect(await thread.backup()).toMatchObject({ position: store.position, objects: 1 });
    await store.put('/b', '🌳').durable;
    expect(await thread.backup()).toMatchObject({ position: store.position, objects: 1, commits: 1 });
    expect((await check())[0]).toMatchObject({ last: store.position, digest: store.digest });
  });

  it('holds the headers of no more than one snapshot: each names all marks', { timeout: 60_000 }, async () => {
    await makeArchive();
    await using store = await openStore({ data: site() });
    for (let n = 0; n < 4_000; n++) store.mark(`mark ${n}`);
    for (let n = 0; n < 400; n++) {
      await store.put('/a', n).durable;
      await store.saveSnapshot();
    }
    await using thread = new Archiving(store, { follow: { ...ARCHIVER_DEFAULTS, everyMs: 10, imageEveryMs: 0 } }).thread;
    expect(await thread.backup()).toMatchObject({ position: store.position, digest: store.digest, images: 1 });
  });

  it('waits for a target that is not there yet, and blocks no commit', async () => {
    await using store = await openStore({ data: site() });
    const archiving = new Archiving(store);
    await using thread = archiving.thread;
    await store.put('/a', 1).durable;
    await archiving.reported('archive-away');
    await store.put('/a', 2).durable;
    expect(thread.status).toMatchObject({ state: 'away', position: null, lag: { commits: store.position.revision } });
    await expect(thread.backup()).rejects.toThrow(place());
    await makeArchive();
    await archiving.reported('archive-back');
    await thread.backup();
    expect((await check())[0]).toMatchObject({ last: store.position, digest: store.digest });
  });

  it.runIf(process.platform === 'linux')('leaves its work in the middle and ends by itself, with its files closed', async () => {
    await makeArchive();
    await using store = await openStore({ data: site() });
    for (let n = 0; n < 4_000; n++) store.put(`/texts/${n}`, `${n} `.repeat(1_000));
    await store.flush();
    using exits = new ThreadExits();
    const { thread } = new Archiving(store, { follow: undefined });
    const made = expect(thread.backup()).rejects.toThrow('the archiving was closed');
    await until(() => thread.counted !== undefined, LIMIT_MS);
    await thread.close();
    await made;
    expect(exits.codes).toEqual([0]);
    expect(openFilesIn(place())).toEqual([]);
    expect(await readdir(join(place(), '.spare'))).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('goes no further when a call to its target returns that it was told to end in', async () => {
    await makeArchive();
    await using store = await openStore({ data: site() });
    await store.put('/a', 1).durable;
    using exits = new ThreadExits();
    const { thread } = new Archiving(store);
    await thread.backup();
    const head = join(place(), 'HEAD');
    await rename(head, `${head}-away`);
    await makePipe(head);
    await store.put('/a', 2).durable;
    thread.backup().catch(() => undefined);
    const writer = await openedByReader(head, LIMIT_MS);
    const closing = thread.close();
    await writer.close();
    await closing;
    expect(exits.codes).toEqual([0]);
  });

  it('gives up a request that its service does not answer, and ends by itself', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    const service = createServer();
    const asked = once(service, 'request');
    await once(service.listen(0, '127.0.0.1'), 'listening');
    const { port } = service.address() as AddressInfo;
    const settings = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1' };
    await using store = await openStore({ data: site() });
    await store.put('/a', 1).durable;
    using exits = new ThreadExits();
    const { thread } = new Archiving(store, { target: 's3://bucket/site', settings });
    try {
      await asked;
      await thread.close();
      expect(exits.codes).toEqual([0]);
    } finally {
      service.closeAllConnections();
      service.close();
      vi.unstubAllEnvs();
    }
  });

  it('says in its status that it died', async () => {
    expectErrors('archive-thread-died');
    await makeArchive();
    await using store = await openStore({ data: site() });
    // A recipient that is none: the thread can't begin.
    const archiving = new Archiving(store, { recipients: ['age1'] });
    await using thread = archiving.thread;
    await archiving.reported('archive-thread-died');
    expect(thread.status).toMatchObject({ state: 'starting', lastError: { code: 'STORAGE_FAILED', attempts: 1 } });
  });
});
