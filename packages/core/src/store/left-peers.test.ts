import { expect, test } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { ManualClock } from '../../../../test/support/host.ts';
import { diskStore, framesOf, memoryStore } from '../../../../test/support/stores.ts';
import type { Store } from './store.ts';

const TEN_MINUTES_MS = 600_000;

function expiryOf(store: Store, peer: string): number | undefined {
  return store.journal.leases.of('peer').get(peer)?.expiresAt;
}

/** A site that fed `west`, and now follows another. */
async function formerPrimary(clock = new ManualClock()): Promise<Store> {
  await using primary = (await memoryStore({ site: 'north' })).store;
  primary.put('/a', 1);
  await primary.flush();
  const { store } = await memoryStore({ site: 'south', role: 'secondary', clock });
  store.journal.leases.hold('peer', 'west', store.position);
  for (const frame of await framesOf(primary.journal)) store.applyFrame(frame);
  return store;
}

test('a site that follows another keeps its history for those that it fed for ten minutes more', async () => {
  await using store = await formerPrimary();
  expect(expiryOf(store, 'west')).toBe(TEN_MINUTES_MS);
});

test('a site that leads again keeps it for good, also for one that is away', async () => {
  await using store = await formerPrimary();
  store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'promoted');
  expect(store.journal.leases.of('peer').has('west')).toBe(true);
  expect(expiryOf(store, 'west')).toBeUndefined();
});

test('a site that leads again does not hold its history for one whose time had passed', async () => {
  const clock = new ManualClock();
  await using store = await formerPrimary(clock);
  clock.advance(TEN_MINUTES_MS);
  store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'promoted');
  expect(expiryOf(store, 'west')).toBe(TEN_MINUTES_MS);
});

/** A former primary on a disk, which fed `west`; that it follows another now is all on the disk. */
async function storedFormerPrimary() {
  await using primary = (await memoryStore({ site: 'north' })).store;
  primary.put('/a', 1);
  await primary.flush();
  const disk = new FaultDisk();
  const { store } = await diskStore(disk, { site: 'south', role: 'secondary' });
  store.journal.leases.hold('peer', 'west', store.position);
  await store.journal.leases.flush();
  for (const frame of await framesOf(primary.journal)) store.applyFrame(frame);
  await store.flush();
  return { disk, store };
}

test('a site that was killed just after its promotion keeps it for good, although the file of the leases was not written', async () => {
  const { disk, store } = await storedFormerPrimary();
  await store.journal.leases.flush();
  await store.prepareToLead(undefined);
  store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'promoted');
  await store.flush();
  await using next = (await diskStore(disk.crash(), { site: 'south' })).store;
  expect(next.standing).toBe('primary');
  expect(next.journal.leases.of('peer').has('west')).toBe(true);
  expect(expiryOf(next, 'west')).toBeUndefined();
});

test('a site that was killed just after it began to follow keeps it for ten minutes', async () => {
  const { disk } = await storedFormerPrimary();
  await using next = (await diskStore(disk.crash(), { site: 'south', clock: new ManualClock() })).store;
  expect(next.standing).toBe('secondary');
  expect(expiryOf(next, 'west')).toBe(TEN_MINUTES_MS);
});
