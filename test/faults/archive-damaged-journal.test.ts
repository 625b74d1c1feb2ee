import { backUp, initArchive, LineFile, stoppedSource } from '@evertree/archive';
import type { Clock } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import { ArchivingSite } from '../support/archiving-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit, flip } from '../support/offline-site.ts';
import { expectErrors } from '../support/reports.ts';

/** Pauses are short on it. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 50,
  after: (delayMs, task) => systemClock.after(delayMs / 50, task),
};
const report = (): void => undefined;

/** A site whose archive has the first `archived` of 80 commits, in a tail; then a bit of an older segment flips. */
async function damagedSite(archived: number): Promise<{ readonly target: MemoryTarget; readonly disk: FaultDisk }> {
  const target = new MemoryTarget();
  await initArchive(target, { sealing: 'plain', conditions: true, random });
  const disk = new FaultDisk();
  {
    await using site = await ArchivingSite.open(disk, target, { clock });
    await commit(site.store, 0, 3);
    await site.archived();
    await commit(site.store, 3, archived);
    await site.archived();
    await site.archiver.close();
    await commit(site.store, archived, 80);
    await site.store.saveSnapshot();
  }
  const segments = disk.files.filter(name => name.startsWith('journal/')).toSorted();
  expect(segments.length).toBeGreaterThan(3);
  flip(disk, segments[1]!, 1_500);
  return { target, disk };
}

describe('a journal that is damaged', () => {
  it('where the tail has it, is taken from the tail: a backup takes nothing away, and goes on behind it', async () => {
    const { target, disk } = await damagedSite(70);
    const [before] = await checkArchive(target);
    const lines = await LineFile.open(disk, report);
    const source = await stoppedSource(disk);
    const { stable } = await source.extent();
    await backUp({ target, lines, source, sealing: 'plain', clock, random, events: { report, lease: report } });
    const [after, ...others] = await checkArchive(target);
    expect(others).toEqual([]);
    expect([...before!.states.keys()].filter(key => !after!.states.has(key))).toEqual([]);
    expect(after!.last).toEqual(stable);
  });

  it('where the archive lacks it, is said', async () => {
    expectErrors('archive-refused');
    const { target, disk } = await damagedSite(6);
    await using site = await ArchivingSite.open(disk, target, { clock });
    await site.until(() => site.events.includes('archive-refused'));
    expect(site.progress).toMatchObject({ state: 'refused', lastError: { code: 'DAMAGED' } });
  });
});
