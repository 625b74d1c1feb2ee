import { Store } from '@evertree/core';
import { openJournal } from '@evertree/journal';
import { expect, test, vi } from 'vitest';
import { promise } from '../../packages/evertree/src/roles/promoting.ts';
import type { RoleContext } from '../../packages/evertree/src/roles/role-context.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';

test('two promotions that ask at one time are not promised epochs of the same number', async () => {
  const machine = { clock: systemClock, random: systemRandom, report: strictReport };
  const journal = await openJournal({ ...machine, disk: new FaultDisk(), identity: { site: 'b', role: 'secondary' } });
  await using store = await Store.open({ ...machine, journal });
  const ask = (id: string) => promise({ store } as RoleContext, 'c', { kind: 'raise', epoch: { number: 2, id }, epochs: [] });
  const answers = await Promise.all([ask('aaaaaaaaaaaaaaaa'), ask('bbbbbbbbbbbbbbbb')]);
  expect(answers.map(({ kind }) => kind)).toEqual(['promised', 'not-promised']);
  expect(answers[1]).toMatchObject({ highest: { number: 2, id: 'aaaaaaaaaaaaaaaa' } });
});

test('a promise tells of what was on its way to the disk when it was asked for', async () => {
  const machine = { clock: systemClock, random: systemRandom, report: strictReport };
  const disk = new FaultDisk();
  const journal = await openJournal({ ...machine, disk, identity: { site: 'b', role: 'primary' } });
  await using store = await Store.open({ ...machine, journal });
  await store.put('/a', 1).durable;
  const release = disk.hold('write', /evj/);
  store.put('/a', 2);
  store.cut();
  const epoch = { number: 2, id: 'aaaaaaaaaaaaaaaa' };
  const answered = promise({ store } as RoleContext, 'c', { kind: 'raise', epoch, epochs: store.epochs });
  await vi.waitFor(() => expect(journal.identity.fencedBy).toMatchObject(epoch));
  expect(store.stable.position.revision).toBe(store.position.revision - 1);
  release();
  expect(await answered).toMatchObject({ kind: 'promised', position: store.position, digest: store.digest });
});
