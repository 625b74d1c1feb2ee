import { initArchive } from '@evertree/archive';
import type { Clock } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { ArchivingSite } from '../support/archiving-site.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { allowErrors, expectErrors } from '../support/reports.ts';

/** Pauses are short on it. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 2,
  after: (delayMs, task) => systemClock.after(delayMs / 2, task),
};
const MEBIBYTE = 1024 * 1024;

describe('a target that takes less than is committed', () => {
  it('does not hold the journal beyond the bound of the spool', async () => {
    expectErrors('archive-spool-full');
    const target = new MemoryTarget();
    await initArchive(target, { sealing: 'plain', conditions: true, random });
    const slow = target.client({ clock, latencyMs: 1_000 });
    await using site = await ArchivingSite.open(new FaultDisk(), slow, {
      clock,
      journalOptions: {},
      options: { spoolMaxBytes: 2 * MEBIBYTE },
    });
    site.store.put('/a', 0);
    await site.store.flush();
    await site.archived();
    for (let n = 0; n < 40; n++) {
      site.store.put('/a', `${n} `.repeat(MEBIBYTE / 4));
      site.store.cut();
    }
    await site.store.flush();
    const { revision } = site.store.journal.log.stable;
    await site.until(() => site.events.includes('archive-spool-full') || (site.progress?.position?.revision ?? 0) >= revision);
    expect(site.events).toContain('archive-spool-full');
  });

  it('is full no more once what waited is archived', async () => {
    allowErrors('archive-spool-full');
    const target = new MemoryTarget();
    await initArchive(target, { sealing: 'plain', conditions: true, random });
    await using site = await ArchivingSite.open(new FaultDisk(), target, { clock, journalOptions: {}, options: { spoolMaxBytes: 4_000 } });
    site.store.put('/a', 0);
    await site.store.flush();
    await site.archived();
    const release = target.hold('create', /^tail/);
    for (let n = 0; site.progress?.spool.isFull !== true; n++) {
      site.store.put('/a', `${n}`.padEnd(2_000, '.'));
      site.store.cut();
      await site.store.flush();
    }
    release();
    await site.archived();
    await site.until(() => site.progress?.spool.isFull === false);
    expect(site.progress).toMatchObject({ gaps: [], state: 'archiving' });
  });
});
