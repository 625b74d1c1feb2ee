import { backUp, initArchive, LineFile, Recipients, stoppedSource } from '@evertree/archive';
import type { Clock } from '@evertree/core';
import type { JournalOptions } from '@evertree/journal';
import { describe, expect, it } from 'vitest';
import { checkArchive, stateKey } from '../support/archive-check.ts';
import { ArchivingSite } from '../support/archiving-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit, SMALL } from '../support/offline-site.ts';
import { expectErrors, strictReport as report } from '../support/reports.ts';
import { diskStore } from '../support/stores.ts';

/** Made by age-keygen, for tests. */
const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
/** Pauses are short on it. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 50,
  after: (delayMs, task) => systemClock.after(delayMs / 50, task),
};
/** Retention drops whatever nobody holds. */
const FORGETFUL: JournalOptions = { ...SMALL, retentionRewindMs: 0, retentionMaxMs: 0 };

async function emptyArchive(): Promise<MemoryTarget> {
  const target = new MemoryTarget();
  await initArchive(target, { sealing: 'plain', conditions: true, random });
  return target;
}

function note(archive: string, run: string) {
  return { archive, line: 'line', run, target: `/${archive}` };
}

describe('the line of a site', () => {
  it('is lost by the one of two that run on one disk whose run is replaced, and nothing of either is lost', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    await commit(site.store, 0, 10);
    await site.archived();
    await using twin = await ArchivingSite.open(site.disk.image(), target, { clock });
    await commit(twin.store, 100, 110);
    await twin.archived();
    await commit(site.store, 10, 20);
    await site.until(() => site.events.includes('archive-line-lost'));
    await commit(site.store, 20, 30);
    await site.archived();
    const lines = await checkArchive(target);
    expect(lines.map(({ digest }) => digest).toSorted()).toEqual([site.store.digest, twin.store.digest].toSorted());
    expect(site.events).toContain('archive-line-begun');
  });

  it('goes on behind a gap where the journal dropped what was not archived; what its tail has becomes stretches', async () => {
    expectErrors('archive-gap');
    const target = await emptyArchive();
    let disk: FaultDisk;
    let said: string;
    {
      await using site = await ArchivingSite.open(new FaultDisk(), target, { clock, journalOptions: FORGETFUL });
      for (let n = 0; n < 4; n++) {
        await commit(site.store, n * 5, n * 5 + 5);
        await site.archived();
      }
      said = stateKey(site.progress!.position!);
      disk = site.disk.image();
    }
    disk.erase('leases.json');
    const { store } = await diskStore(disk, { journalOptions: FORGETFUL });
    await commit(store, 30, 80);
    await store.saveSnapshot();
    await store.journal.retention.apply();
    expect(store.journal.log.base.revision).toBeGreaterThan(30);
    await store.close();
    await using site = await ArchivingSite.open(disk, target, { clock, journalOptions: FORGETFUL });
    await commit(site.store, 80, 85);
    await site.archived();
    const [line, ...others] = await checkArchive(target);
    expect(others).toEqual([]);
    expect(line).toMatchObject({ last: site.store.position, digest: site.store.digest });
    expect([...line!.states.keys()]).toContain(said);
    expect(line!.line.gaps).toMatchObject([{ reason: 'history-gone' }]);
    expect(line!.line.objects.some(object => object.kind === 'stretch' && object.path.startsWith('tail/'))).toBe(true);
  });

  it('is not taken from a site that runs by a backup of its directory', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    await commit(site.store, 0, 10);
    await site.archived();
    const parts = { target, sealing: 'plain' as const, clock, random, events: { report, lease: () => undefined } };
    const beside = { ...parts, source: await stoppedSource(site.disk), lines: await LineFile.open(site.disk, report) };
    await expect(backUp({ ...beside, siteRuns: async () => true })).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
    await commit(site.store, 10, 12);
    await site.archived();
    expect(site.events).toEqual([]);
  });

  it('gets an image when its frames span long enough', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock, options: { imageEveryMs: 0 } });
    await commit(site.store, 0, 10);
    await site.archived();
    await site.archiver.backup();
    // The snapshot that the first backup asked for is there when the next one looks.
    await site.until(() => site.disk.files.some(file => file.startsWith('snapshots/') && file.endsWith('.evs')));
    await commit(site.store, 10, 20);
    await site.archived();
    await site.archiver.backup();
    const [line] = await checkArchive(target);
    expect(line!.line.objects.map(({ kind }) => kind)).toContain('image');
    expect(line).toMatchObject({ last: site.store.position, digest: site.store.digest });
  });
});

describe('making an archive', () => {
  const plain = { sealing: 'plain', conditions: true, random } as const;

  it('may be tried again while it is empty, and is refused for another one', async () => {
    const target = new MemoryTarget();
    const { head, isNew } = await initArchive(target, plain);
    expect(isNew).toBe(true);
    expect(await initArchive(target, plain)).toEqual({ head, isNew: false });
    await expect(initArchive(target, { ...plain, sealing: Recipients.parse([RECIPIENT]) })).rejects.toMatchObject({
      code: 'DIRECTORY_IN_USE',
    });
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    await commit(site.store, 0, 1);
    await site.archived();
    await expect(initArchive(target, plain)).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' });
  });

  it('is refused where objects are and HEAD is not', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    await commit(site.store, 0, 1);
    await site.archived();
    await site.archiver.close();
    target.objects.delete('HEAD');
    await expect(initArchive(target, plain)).rejects.toMatchObject({ code: 'DAMAGED' });
  });

  it('finds its own HEAD when the answer was lost', async () => {
    const target = new MemoryTarget();
    target.fail({ operation: 'replace', times: 1, tookEffect: true });
    await expect(initArchive(target, plain)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(await initArchive(target, plain)).toMatchObject({ isNew: false });
  });

  it('stays known when another archive of the site is written beside it', async () => {
    const disk = new FaultDisk();
    const continuous = await LineFile.open(disk, report);
    await continuous.write(note('first', 'run 1'));
    const single = await LineFile.open(disk, report);
    await continuous.write(note('first', 'run 2'));
    await single.write(note('second', 'run 3'));
    await continuous.write(note('first', 'run 4'));
    const read = await LineFile.open(disk, report);
    expect([read.find('first')?.run, read.find('second')?.run]).toEqual(['run 4', 'run 3']);
  });
});
