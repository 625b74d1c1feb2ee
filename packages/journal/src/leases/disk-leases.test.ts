import { ORIGIN } from '@evertree/core';
import { expect, test } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { ManualClock } from '../../../../test/support/host.ts';
import { readStateFile } from '../site/state-file.ts';
import { DiskLeases } from './disk-leases.ts';

test('a lease that is released after the journal was closed leaves the file to whoever has the directory then', async () => {
  const disk = new FaultDisk();
  const clock = new ManualClock();
  const leases = new DiskLeases(disk, clock, () => undefined);
  leases.hold('backup', 'archive', ORIGIN);
  await leases.close();
  const closed = await readStateFile(disk, 'leases.json');
  expect(closed).toContain('archive');
  leases.release('backup', 'archive');
  leases.hold('peer', 'site', ORIGIN);
  expect(clock.nextInMs).toBe(Infinity);
  await leases.flush();
  expect(await readStateFile(disk, 'leases.json')).toBe(closed);
});
