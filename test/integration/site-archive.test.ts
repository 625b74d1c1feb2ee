import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget } from '@evertree/archive';
import { samePosition } from '@evertree/core';
import { type OpenStoreOptions, type Report, type SiteStore, backup, openSite, openStore, startProducer } from 'evertree';
import { initArchive } from '../../packages/evertree/src/archive/initialization.ts';
import { siteOf } from '../../packages/evertree/src/site/store.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { until } from '../support/http-site.ts';
import { makePipe, openedByReader } from '../support/pipes.ts';
import { allowErrors, collectReports } from '../support/reports.ts';
import { freePort } from '../support/site-process.ts';

/** A site that archives continuously, into a directory. */

/** After an outage the next attempt follows within half a minute. */
const ATTEMPT_LIMIT_MS = 40_000;

let folder: string;
let target: string;
let reports: Report[];
let report: (report: Report) => void;
const stack: AsyncDisposable[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evertree-archive-'));
  target = join(folder, 'archive');
  ({ reports, report } = collectReports());
});
afterEach(async () => {
  for (const each of stack.splice(0).toReversed()) await each[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function open(
  archive: OpenStoreOptions['archive'] | null = { target, every: '50ms' },
  more: Partial<OpenStoreOptions> = {},
): Promise<SiteStore> {
  const store = await openStore({ data: join(folder, 'site'), site: 'north', log: report, ...more, ...(archive && { archive }) });
  stack.push(store);
  return store;
}

function archiveOf(store: SiteStore) {
  return siteOf(store).archive!;
}

/** Waits until all that is committed is in the archive. */
async function archived(store: SiteStore): Promise<void> {
  await store.flush();
  const isArchived = () => {
    const { position } = archiveOf(store).status;
    return position !== null && samePosition(position, store.journal.log.stable);
  };
  await until(isArchived, ATTEMPT_LIMIT_MS);
}

/** Commits 700,000 bytes. */
async function writeTexts(store: SiteStore): Promise<void> {
  for (let n = 0; n < 35; n++) await store.transact(tx => tx.put('/text', `${n}${'x'.repeat(20_000)}`)).durable;
}

/** What can be restored from the archive: the newest state of each line. */
async function restorable() {
  await using place = await openTarget(target, { clock, random });
  return await checkArchive(place);
}

describe('a site with an archive', () => {
  test('archives what it commits, each line ends where the site is, and status tells', async () => {
    await initArchive(target);
    const store = await open();
    store.transact(tx => tx.put('/a', 1));
    await archived(store);
    for (let n = 0; n < 50; n++) await store.transact(tx => tx.put(`/numbers/${n}`, n)).durable;
    await archived(store);
    const { position, digest } = store;
    expect(archiveOf(store).status).toMatchObject({
      target,
      state: 'archiving',
      encrypted: false,
      lastError: null,
      gaps: [],
      lag: { commits: 0 },
      drilled: null,
    });
    const [line, ...others] = await restorable();
    expect(others).toEqual([]);
    expect(line).toMatchObject({ last: position, digest });
    expect([...store.journal.leases.of('backup').keys()]).toEqual([archiveOf(store).status.archive]);
  });

  test('goes on in the same line after a restart, and what was committed last is there when it closes', async () => {
    await initArchive(target);
    const first = await open();
    first.transact(tx => tx.put('/a', 1));
    await archived(first);
    first.transact(tx => tx.put('/a', 2));
    const { digest } = first;
    await first.close();
    const [closed] = await restorable();
    expect(closed).toMatchObject({ digest });
    const second = await open();
    second.transact(tx => tx.put('/a', 3));
    await archived(second);
    const lines = await restorable();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ id: closed!.id, digest: second.digest });
    expect(reports.map(({ event }) => event)).not.toContain('archive-line-begun');
  });

  test('archives what was committed also if it closes before its archiving has begun', async () => {
    await initArchive(target);
    const store = await open();
    expect(archiveOf(store).status.state).toBe('starting');
    store.transact(tx => tx.put('/a', 1));
    const { digest } = store;
    await store.close();
    expect(await restorable()).toMatchObject([{ digest }]);
  });

  test('an outage of the target blocks no commit; the journal is the spool, and nothing is missing afterwards', async () => {
    allowErrors('archive-away');
    await initArchive(target);
    const store = await open();
    store.transact(tx => tx.put('/a', 0));
    await archived(store);
    await rename(target, `${target}-away`);
    await store.transact(tx => tx.put('/a', 1)).durable;
    await until(() => archiveOf(store).status.state === 'away');
    for (let n = 2; n < 40; n++) await store.transact(tx => tx.put('/a', n)).durable;
    const away = archiveOf(store).status;
    expect(away).toMatchObject({ state: 'away', lastError: { code: 'NOT_FOUND' }, gaps: [] });
    expect(away.lag.commits).toBeGreaterThanOrEqual(38);
    await rename(`${target}-away`, target);
    await archived(store);
    const [line, ...others] = await restorable();
    expect(others).toEqual([]);
    expect(line).toMatchObject({ last: store.position, digest: store.digest, line: { gaps: [] } });
    const told = reports.map(({ event }) => event);
    expect(told.filter(event => event === 'archive-away')).toHaveLength(1);
    expect(told.filter(event => event === 'archive-back')).toHaveLength(1);
  });

  test('a target that is away at the start does not stop the site, and is archived into as soon as it is there', async () => {
    allowErrors('archive-away');
    const store = await open();
    store.transact(tx => tx.put('/a', 1));
    await until(() => archiveOf(store).status.lastError !== null);
    // Whole at once: a site that looks at half an archive says that it is none.
    await initArchive(`${target}-made`);
    await rename(`${target}-made`, target);
    await archived(store);
    expect((await restorable())[0]).toMatchObject({ digest: store.digest });
  });

  test('a spool that is full lets history go; the gap is said aloud, in status, and closed by an image', async () => {
    allowErrors('archive-away', 'archive-spool-full', 'archive-gap');
    await initArchive(target);
    const journal = { segmentBytes: 65_536, retentionMaxMs: 0, retentionRewindMs: 0, snapshotBytes: 65_536 };
    const store = await open({ target, every: '50ms', spoolMaxBytes: 1_048_576 }, { journal });
    store.transact(tx => tx.put('/a', 0));
    await archived(store);
    await rename(target, `${target}-away`);
    const text = 'x'.repeat(20_000);
    for (let n = 0; n < 200; n++) await store.transact(tx => tx.put(`/texts/${n % 10}`, `${n}${text}`)).durable;
    await until(() => archiveOf(store).status.spool.isFull);
    await store.saveSnapshot();
    await store.journal.retention.apply();
    await rename(`${target}-away`, target);
    await archived(store);
    const { gaps, spool } = archiveOf(store).status;
    expect(gaps).toMatchObject([{ reason: 'spool-full' }]);
    expect(spool).toMatchObject({ maxBytes: 1_048_576, isFull: false });
    const [line] = await restorable();
    expect(line).toMatchObject({ last: store.position, digest: store.digest, line: { gaps: [{ reason: 'spool-full' }] } });
    const told = reports.map(({ event }) => event);
    expect(told).toContain('archive-spool-full');
  }, 90_000);

  test('restarts while the target is away make the spool no longer', async () => {
    allowErrors('archive-away', 'archive-spool-full');
    await initArchive(target);
    const archive = { target, every: '50ms', spoolMaxBytes: 1_048_576 };
    const first = await open(archive);
    first.transact(tx => tx.put('/a', 0));
    await archived(first);
    await rename(target, `${target}-away`);
    await writeTexts(first);
    await first.close();
    expect(reports.map(({ event }) => event)).not.toContain('archive-spool-full');
    const second = await open(archive);
    await writeTexts(second);
    await until(() => archiveOf(second).status.spool.isFull);
    await second.close();
    await rename(`${target}-away`, target);
  });

  test('holds the history for the archive that is in its place, and no more for one that was there before', async () => {
    allowErrors('archive-refused');
    await initArchive(target);
    const store = await open();
    store.transact(tx => tx.put('/a', 1));
    await archived(store);
    const before = archiveOf(store).status.archive;
    await rename(target, `${target}-old`);
    await initArchive(target);
    await archiveOf(store)
      .backup()
      .catch(() => undefined);
    await until(() => ![null, before].includes(archiveOf(store).status.archive), ATTEMPT_LIMIT_MS);
    store.transact(tx => tx.put('/a', 2));
    await archived(store);
    expect([...store.journal.leases.of('backup').keys()]).toEqual([archiveOf(store).status.archive]);
  });

  test('a single backup ends with the store that it is made of', async () => {
    const store = await open(null);
    for (let n = 0; n < 2_000; n++) store.put(`/texts/${n}`, `${n}`.repeat(500));
    await store.flush();
    const begun = Promise.withResolvers<void>();
    const backingUp = backup(store, target, { progress: () => begun.resolve() });
    const ended = expect(backingUp).rejects.toThrow(expect.objectContaining({ code: 'CLOSED' }));
    await begun.promise;
    await store.close();
    await ended;
    await expect(backup(store, target)).rejects.toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });

  test('closes although a call to the disk of its target never returns', async () => {
    await initArchive(target);
    const store = await open();
    await store.transact(tx => tx.put('/a', 1)).durable;
    await archived(store);
    const head = join(target, 'HEAD');
    await rename(head, `${head}-away`);
    await makePipe(head);
    await store.transact(tx => tx.put('/a', 2)).durable;
    void archiveOf(store)
      .backup()
      .catch(() => undefined);
    const writer = await openedByReader(head, ATTEMPT_LIMIT_MS);
    await store.transact(tx => tx.put('/a', 3)).durable;
    await store.close();
    expect(reports.map(({ event }) => event)).toContain('archive-thread-stuck');
    // The call that waits ends, and the thread with it.
    await writer.close();
  });

  test('is refused in memory, and in the directory that it is to survive', async () => {
    await expect(openStore({ data: 'memory', archive: { target } })).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringContaining('this site is in memory') }),
    );
    await expect(open({ target: join(folder, 'site', 'backups') })).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringContaining("would lie in the site's own directory") }),
    );
    // The directory is free again.
    await open(null);
  });

  test('is checked like a file where it is given in code', async () => {
    await expect(open({ target, evry: '1s' } as never)).rejects.toThrow('archive.evry is not known; did you mean "every"?');
    await expect(open({ target, every: '1' })).rejects.toThrow('archive.every is "1"; write how often');
    await expect(open({ spoolMaxBytes: 2_000_000 })).rejects.toThrow('archive.spoolMaxBytes says how an archive is written');
  });

  test('of another recipient, or of another tree, is refused, and the site goes on', async () => {
    allowErrors('archive-refused');
    await writeFile(join(folder, 'recipients'), 'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\n');
    await initArchive(target);
    const store = await open({ target, every: '50ms', recipients: join(folder, 'recipients') });
    store.transact(tx => tx.put('/a', 1));
    await until(() => archiveOf(store).status.state === 'refused');
    await store.transact(tx => tx.put('/a', 2)).durable;
    await store.close();
    const other = await openStore({ data: join(folder, 'other'), site: 'other', archive: { target, every: '50ms' } });
    stack.push(other);
    other.transact(tx => tx.put('/b', 1));
    await archived(other);
    const again = await open();
    await until(() => archiveOf(again).status.lastError?.code === 'STREAM_MISMATCH');
    const [line, ...others] = await restorable();
    expect(others).toEqual([]);
    expect(line).toMatchObject({ digest: other.digest });
  });

  test('without the archive in its file the site holds no history for it any more', async () => {
    await initArchive(target);
    const store = await open();
    store.transact(tx => tx.put('/a', 1));
    await archived(store);
    expect(store.journal.leases.of('backup').size).toBe(1);
    await store.close();
    const without = await open(null);
    expect(without.journal.leases.of('backup').size).toBe(0);
  });
});

describe('a pair of sites that both archive', () => {
  test('has a line of each, on a primary and on a secondary, and goes on through a swap of roles', async () => {
    await initArchive(target);
    const [wireA, wireB] = [await freePort(), await freePort()];
    const dial = (port: number) => ({
      'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 },
      archive: { target, every: '50ms' },
    });
    const listen = (port: number) => ({ 'netty-consumer': { 'listening-port': port }, archive: { target, every: '50ms' } });
    const openOne = async (name: string, own: number, far: number, role: 'primary' | 'secondary') => {
      const site = await openSite({
        data: join(folder, name),
        site: name,
        role,
        primary: dial(far),
        standby: listen(own),
        log: report,
      });
      stack.push(site);
      return site;
    };
    const a = await openOne('a', wireA, wireB, 'primary');
    const b = await openOne('b', wireB, wireA, 'secondary');
    for (let n = 0; n < 20; n++) await a.store.transact(tx => tx.put('/n', n)).acknowledged(1);
    await archived(a.store as SiteStore);
    await archived(b.store as SiteStore);
    expect((await restorable()).map(({ digest }) => digest)).toEqual([a.store.digest, a.store.digest]);
    await a.switchover({ to: 'b' });
    await until(() => b.store.standing === 'primary' && a.store.standing === 'secondary');
    for (let n = 20; n < 40; n++) await b.store.transact(tx => tx.put('/n', n)).acknowledged(1);
    await archived(a.store as SiteStore);
    await archived(b.store as SiteStore);
    const lines = await restorable();
    expect(lines).toHaveLength(2);
    expect(lines.map(({ digest }) => digest)).toEqual([b.store.digest, b.store.digest]);
  });
});

describe('a secondary that archives', () => {
  test('and gets a full copy goes on: its archive ends where it is, and the gap is said', async () => {
    allowErrors('archive-gap');
    await initArchive(target);
    const wire = await freePort();
    const journal = { segmentBytes: 65_536, retentionMaxMs: 0, retentionRewindMs: 0, snapshotBytes: 65_536 };
    const consumer = { 'netty-consumer': { 'listening-port': wire } };
    const openSecondary = async () => {
      const site = await openSite({
        data: join(folder, 'b'),
        site: 'b',
        standby: consumer,
        archive: { target, every: '50ms' },
        log: report,
      });
      stack.push(site);
      return site;
    };
    const primary = await openStore({ data: join(folder, 'a'), site: 'a', journal, log: report });
    stack.push(primary);
    const connection = { 'consumer-address': '127.0.0.1', 'consumer-port': wire, 'connection-retry-interval-ms': 20 };
    const first = await openSecondary();
    const producer = await startProducer(primary, { 'netty-connection': connection });
    await primary.transact(tx => tx.put('/a', 1)).acknowledged(1);
    await archived(first.store as SiteStore);
    await first.close();
    producer.forget('b');
    const text = 'x'.repeat(20_000);
    for (let n = 0; n < 60; n++) await primary.transact(tx => tx.put(`/texts/${n % 5}`, `${n}${text}`)).durable;
    await primary.saveSnapshot();
    await primary.journal.retention.apply();
    expect(primary.journal.log.base.revision).toBeGreaterThan(10);
    const second = await openSecondary();
    await until(() => samePosition(second.store.stable.position, primary.stable.position), ATTEMPT_LIMIT_MS);
    expect(reports.map(({ event }) => event)).toContain('resync');
    await archived(second.store as SiteStore);
    expect(second.archive!.status.gaps).toMatchObject([{ reason: 'history-gone' }]);
    expect(reports.map(({ event }) => event)).toContain('archive-gap');
    expect((await restorable()).map(({ digest }) => digest)).toEqual([primary.digest]);
    await primary.transact(tx => tx.put('/a', 2)).acknowledged(1);
    await archived(second.store as SiteStore);
    expect((await restorable()).map(({ digest }) => digest)).toEqual([primary.digest]);
    await producer.close();
  }, 90_000);

  test('and goes back behind what it archived begins a new line, and the old one stays as it is', async () => {
    await initArchive(target);
    const store = await open();
    await store.transact(tx => tx.put('/a', 1)).durable;
    const early = store.stable.position;
    await store.transact(tx => tx.put('/a', 2)).durable;
    await archived(store);
    const [before] = await restorable();
    await store.follow();
    await store.rewind(early);
    const other = store.digest;
    await until(() => reports.some(({ event }) => event === 'archive-line-begun'), ATTEMPT_LIMIT_MS);
    await archived(store);
    const lines = await restorable();
    expect(lines).toHaveLength(2);
    expect(lines.find(({ id }) => id === before!.id)).toMatchObject({ digest: before!.digest });
    expect(lines.find(({ id }) => id !== before!.id)).toMatchObject({ digest: other });
  }, 90_000);
});
