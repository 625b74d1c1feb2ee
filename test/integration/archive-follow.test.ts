import { initArchive } from '@evertree/archive';
import type { Clock, ExactPosition } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import { ArchivingSite } from '../support/archiving-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit } from '../support/offline-site.ts';

/** Pauses are short on it. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 50,
  after: (delayMs, task) => systemClock.after(delayMs / 50, task),
};

async function emptyArchive(): Promise<MemoryTarget> {
  const target = new MemoryTarget();
  await initArchive(target, { sealing: 'plain', conditions: true, random });
  return target;
}

describe('a site that archives all the time', () => {
  it('archives what it commits, and goes on in its line after a restart', async () => {
    const target = await emptyArchive();
    const disk = new FaultDisk();
    {
      await using site = await ArchivingSite.open(disk, target);
      await commit(site.store, 0, 30);
      await site.archived();
      const [line] = await checkArchive(target);
      expect(line).toMatchObject({ last: site.store.position, digest: site.store.digest });
      expect(site.events).toEqual([]);
    }
    await using site = await ArchivingSite.open(disk, target);
    await commit(site.store, 30, 60);
    await site.archived();
    const lines = await checkArchive(target);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ last: site.store.position, digest: site.store.digest });
    expect(site.events).toEqual([]);
  });

  it('makes stretches of its tail when it is asked for a backup, and condemns what they hold', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target);
    for (let n = 0; n < 5; n++) {
      await commit(site.store, n * 3, n * 3 + 3);
      await site.archived();
    }
    const result = await site.archiver.backup();
    expect(result).toMatchObject({ position: site.store.position, digest: site.store.digest });
    const [line] = await checkArchive(target);
    expect(line).toMatchObject({ last: site.store.position, digest: site.store.digest });
    expect(line!.line.objects.at(-1)).toMatchObject({ kind: 'stretch', last: site.store.position });
    await commit(site.store, 100, 110);
    await site.archived();
    expect((await checkArchive(target))[0]).toMatchObject({ last: site.store.position, digest: site.store.digest });
  });

  it('backs up at once when it is asked, however long it waits between two rounds', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { options: { everyMs: 3_600_000 } });
    await commit(site.store, 0, 3);
    await site.archived();
    for (let n = 3; n < 6; n++) {
      await commit(site.store, n, n + 1);
      expect(await site.archiver.backup()).toMatchObject({ position: site.store.position });
    }
    expect((await checkArchive(target))[0]).toMatchObject({ last: site.store.position, digest: site.store.digest });
  });

  it('says after a restart what it has in the archive, also while the target is away', async () => {
    const target = await emptyArchive();
    const disk = new FaultDisk();
    let before: ExactPosition;
    {
      await using site = await ArchivingSite.open(disk, target);
      await commit(site.store, 0, 30);
      await site.archived();
      before = site.store.position;
    }
    target.fail({ operation: 'create' });
    await using site = await ArchivingSite.open(disk, target);
    await site.until(() => site.progress?.state === 'away');
    expect(site.progress).toMatchObject({ position: before, lastSuccess: null });
  });

  it('archives all of it anew if another archive stands in the place of a target that was away', async () => {
    const target = await emptyArchive();
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock });
    await commit(site.store, 0, 30);
    await site.archived();
    const { archive } = site.progress!;
    const fault = target.fail({});
    await commit(site.store, 30, 40);
    await site.until(() => site.progress?.state === 'away');
    fault[Symbol.dispose]();
    target.objects.clear();
    await initArchive(target, { sealing: 'plain', conditions: true, random });
    const checked = target.calls.length;
    for (let n = 40; n < 46; n++) {
      await site.archived();
      await commit(site.store, n, n + 1);
    }
    await site.until(() => site.progress?.archive !== archive && site.isCurrent);
    expect((await checkArchive(target))[0]).toMatchObject({ last: site.store.position, digest: site.store.digest });
    // The first object that was written there made it look.
    const calls = target.calls.slice(checked);
    expect(calls.slice(0, calls.indexOf('get HEAD')).filter(call => call.startsWith('create'))).toHaveLength(1);
  });
});
