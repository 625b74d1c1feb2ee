import { backUp, Identities, initArchive, LineFile, Recipients, type Sealing, stoppedSource, type Target } from '@evertree/archive';
import type { Clock } from '@evertree/core';
import type { JournalOptions } from '@evertree/journal';
import { describe, expect, it } from 'vitest';
import { checkArchive, stateKey } from '../support/archive-check.ts';
import { ArchivingSite } from '../support/archiving-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit, SMALL, stoppedSite } from '../support/offline-site.ts';
import { expectErrors, strictReport as report } from '../support/reports.ts';

/** Made by age-keygen, for tests. */
const IDENTITY = 'AGE-SECRET-KEY-15EYHWXK6LNKSJJJGP3TPSNAWRLYVCKDUUFJNDV67YLZZ2HPE34LSVLEZAP';
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
const OTHER_RECIPIENT = 'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg';

/** Pauses are short on it. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 50,
  after: (delayMs, task) => systemClock.after(delayMs / 50, task),
};
/** Retention drops whatever nobody holds. */
const FORGETFUL: JournalOptions = { ...SMALL, retentionRewindMs: 0, retentionMaxMs: 0 };

async function emptyArchive(
  sealing: Sealing = 'plain',
  options: ConstructorParameters<typeof MemoryTarget>[0] = {},
): Promise<MemoryTarget> {
  const target = new MemoryTarget(options);
  await initArchive(target, { sealing, conditions: true, random });
  return target;
}

async function backup(target: Target, disk: FaultDisk, sealing: Sealing = 'plain') {
  const parts = { source: await stoppedSource(disk), lines: await LineFile.open(disk, report), events: { report, lease: () => undefined } };
  return backUp({ ...parts, target, sealing, clock, random });
}

/** What lies under each key, for comparing. */
function contents(target: MemoryTarget): Map<string, string> {
  return new Map(target.keys.filter(key => key !== 'HEAD').map(key => [key, target.bytes(key).toString('base64')]));
}

function expectUntouched(target: MemoryTarget, before: ReadonlyMap<string, string>): void {
  const now = contents(target);
  expect([...before].filter(([key, bytes]) => now.get(key) !== bytes).map(([key]) => key)).toEqual([]);
}

describe('traps that others fell into while they archived', () => {
  it('3: merging stamps no new time', async () => {
    const target = await emptyArchive('plain', { skewMs: 86_400_000 });
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    const times = new Map<number, number>();
    for (let n = 0; n < 6; n++) {
      await commit(site.store, n * 2, n * 2 + 2);
      await site.archived();
      const header = await site.store.journal.log.find(site.store.journal.log.stable);
      times.set(header!.last.revision, header!.lastTime);
    }
    await site.archiver.backup();
    const [{ line }] = (await checkArchive(target)) as [Awaited<ReturnType<typeof checkArchive>>[number]];
    const stretches = line.objects.filter(object => object.kind === 'stretch');
    expect(stretches.some(({ commits }) => commits > 2)).toBe(true);
    const known = stretches.filter(({ last }) => times.has(last.revision));
    expect(known.length).toBeGreaterThan(0);
    for (const { last, lastTime, firstTime } of known) {
      expect(lastTime).toBe(times.get(last.revision));
      expect(firstTime).toBeLessThanOrEqual(lastTime);
    }
  });

  it('5: an older disk overwrites nothing of a newer archive', async () => {
    const target = await emptyArchive();
    let older: FaultDisk;
    {
      await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
      await commit(site.store, 0, 10);
      await site.archived();
      older = site.disk.image();
      await commit(site.store, 10, 20);
      await site.archiver.backup();
    }
    const [newer] = await checkArchive(target);
    const before = contents(target);
    await using site = await ArchivingSite.open(older, target, { clock });
    await commit(site.store, 50, 55);
    await site.archived();
    expect(site.events).toContain('archive-line-begun');
    expectUntouched(target, before);
    const lines = await checkArchive(target);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ id: newer!.id, last: newer!.last, digest: newer!.digest });
    expect(lines[1]).toMatchObject({ last: site.store.position, digest: site.store.digest });
  });

  it('6: a failed write is not skipped', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    await commit(site.store, 0, 3);
    await site.archived();
    for (const tookEffect of [false, true]) {
      const fault = target.fail({ operation: 'create', key: /^tail\//, times: 5, tookEffect });
      const { revision } = site.store.position;
      await commit(site.store, revision, revision + 9);
      await site.archived();
      fault[Symbol.dispose]();
    }
    const [line] = await checkArchive(target);
    expect(line).toMatchObject({ last: site.store.position, digest: site.store.digest });
    const numbers = target.keys.filter(key => key.startsWith('tail/')).map(key => Number(key.slice(-10)));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    expect(site.events).toContain('archive-back');
  });

  it('8: who dies in an image leaves no state that can not be restored', async () => {
    const { disk, position, digest } = await stoppedSite({ commits: 200, openings: 4, snapshots: 4, retain: true });
    const target = await emptyArchive();
    for (let writes = 0; ; writes++) {
      const client = target.client();
      client.dieAfter(writes);
      const result = await backup(client, disk).catch((error: unknown) => error);
      const lines = await checkArchive(target.client());
      if (!client.isDead) {
        expect(result).toMatchObject({ position, digest });
        expect(lines[0]).toMatchObject({ last: position, digest });
        expect(writes).toBeGreaterThan(3);
        return;
      }
      expect(lines.filter(line => line.digest !== digest)).toEqual([]);
    }
  });

  it('10: a line begins anew under names that nobody ever used', async () => {
    const target = await emptyArchive();
    let disk = new FaultDisk();
    for (let start = 0; start < 3; start++) {
      const before = contents(target);
      {
        await using site = await ArchivingSite.open(disk, target, { clock });
        await commit(site.store, start * 10, start * 10 + 5);
        await site.archived();
        disk = site.disk.image();
      }
      expectUntouched(target, before);
      disk.erase('archive.json');
      if (disk.files.includes('leases.json')) disk.erase('leases.json');
    }
    expect(await checkArchive(target)).toHaveLength(3);
    expect(target.keys.filter(key => key.startsWith('tail/') && key.endsWith('/0000000001')).length).toBeGreaterThan(0);
  });

  it('11: another site of the same name overwrites nothing', async () => {
    const target = await emptyArchive();
    const { disk } = await stoppedSite();
    await backup(target, disk);
    const before = contents(target);
    const head = target.bytes('HEAD');
    const { disk: other } = await stoppedSite();
    await expect(backup(target, other)).rejects.toMatchObject({ code: 'STREAM_MISMATCH' });
    expectErrors('archive-refused');
    await using site = await ArchivingSite.open(other, target, { clock });
    await site.until(() => site.progress?.state === 'refused');
    expect(site.progress?.lastError).toMatchObject({ code: 'STREAM_MISMATCH' });
    expectUntouched(target, before);
    expect(target.bytes('HEAD').equals(head)).toBe(true);
  });

  it('14: every path encrypts, and who has no recipients or others is refused', async () => {
    const sealing = Recipients.parse([RECIPIENT]);
    const target = await emptyArchive(sealing);
    const disk = new FaultDisk();
    let end: { readonly position: unknown; readonly digest: string };
    {
      await using site = await ArchivingSite.open(disk, target, { clock, sealing, site: 'legible-site', options: { imageEveryMs: 0 } });
      await commit(site.store, 0, 20);
      site.store.mark('legible-mark');
      await site.archived();
      await site.store.saveSnapshot();
      await site.archiver.backup();
      end = { position: site.store.position, digest: site.store.digest };
      expect((await checkArchive(target, Identities.parse([IDENTITY])))[0]!.line.objects.some(({ kind }) => kind === 'image')).toBe(true);
    }
    for (const other of ['plain', Recipients.parse([OTHER_RECIPIENT]), Recipients.parse([RECIPIENT, OTHER_RECIPIENT])] as const) {
      const before = target.writes;
      await expect(backup(target, disk.crash(), other)).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
      expect(target.writes).toBe(before);
    }
    const words = ['legible-mark', 'legible-site', 'devices', 'author-1', 'commit 7', 'ü🌳', 'mtu'];
    const legible = [...target.objects].filter(([, { bytes }]) => words.some(word => bytes.includes(word)));
    expect(legible.map(([key]) => key)).toEqual([]);
    expect((await checkArchive(target, Identities.parse([IDENTITY])))[0]).toMatchObject({ last: end.position, digest: end.digest });
  });

  it('16: a full spool drops nothing that was archived, and the gap is said and closed by an image', async () => {
    expectErrors('archive-spool-full', 'archive-gap');
    const target = await emptyArchive();
    const options = { spoolMaxBytes: 4_000 };
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock, options, journalOptions: FORGETFUL });
    await commit(site.store, 0, 10);
    await site.archived();
    const said = site.progress!.position!;
    const fault = target.fail({ code: 'UNREACHABLE' });
    await commit(site.store, 10, 11);
    // What is being written by then is not lost, however long it takes.
    await site.until(() => site.progress?.state === 'away');
    await commit(site.store, 11, 40);
    await site.store.saveSnapshot();
    for (let n = 40; site.progress?.spool.isFull !== true; n++) {
      await commit(site.store, n, n + 1);
      expect(site.store.state).toBe('open');
    }
    await commit(site.store, 500, 560);
    await site.store.saveSnapshot();
    await site.store.journal.retention.apply();
    expect(site.store.journal.log.base.revision).toBeGreaterThan(said.revision + 2);
    fault[Symbol.dispose]();
    await site.archived();
    const [line, ...others] = await checkArchive(target);
    expect(others).toEqual([]);
    expect(line).toMatchObject({ last: site.store.position, digest: site.store.digest });
    expect([...line!.states.keys()]).toContain(stateKey(said));
    expect(line!.line.gaps).toMatchObject([{ reason: 'spool-full' }]);
    expect(site.progress).toMatchObject({ gaps: line!.line.gaps, spool: { isFull: false } });
  });
});
