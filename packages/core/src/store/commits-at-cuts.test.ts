import { expect, test } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { diskStore, framesOf } from '../../../../test/support/stores.ts';
import { prepared } from '../../test/prepared.ts';
import type { Commit } from '../transactions/commit.ts';
import { isEvertreeError } from '../errors.ts';
import type { Store } from './store.ts';

/** Who hears that a frame was cut commits, so often. @returns its commits, and the codes of those that were refused */
function committing(store: Store, times: number): (Commit | string)[] {
  const made: (Commit | string)[] = [];
  store.on('advanced', () => {
    if (made.length === times) return;
    const at = made.length;
    made.push('under way');
    try {
      made[at] = store.put(`/heard/${at}`, at);
    } catch (error) {
      made[at] = isEvertreeError(error) ? error.code : String(error);
    }
  });
  return made;
}

/** What the disk holds of them after a restart. */
async function heardAfterRestart(disk: FaultDisk): Promise<unknown> {
  await using store = (await diskStore(disk)).store;
  return store.get('/heard');
}

function durable(commits: readonly (Commit | string)[]): Promise<unknown> {
  return Promise.all(commits.map(async each => (typeof each === 'string' ? each : each.durable.then(() => 'durable'))));
}

test('a commit by who hears of the last cut at a close is made stable, too, and further ones are refused', async () => {
  const disk = new FaultDisk();
  const { store } = await diskStore(disk);
  store.put('/a', 1);
  const made = committing(store, 3);
  const closing = store.close();
  const outcomes = durable(made);
  await closing;
  expect(await outcomes).toEqual(['durable', 'CLOSED']);
  expect(await heardAfterRestart(disk)).toEqual({ 0: 0 });
});

test('commits at both cuts of a prepared commit, and at that of the close behind it, are made stable', async () => {
  const disk = new FaultDisk();
  const { store } = await diskStore(disk);
  store.put('/many', {});
  const ready = prepared(store, '/many', function* (tx) {
    tx.put('/many/a', 1);
    yield;
  });
  const made = committing(store, 3);
  const commit = store.commitPrepared(ready);
  const closing = store.close();
  const outcomes = durable([commit, ...made]);
  await closing;
  expect(await outcomes).toEqual(['durable', 'durable', 'durable', 'durable']);
  expect(await heardAfterRestart(disk)).toEqual({ 0: 0, 1: 1, 2: 2 });
});

test('a snapshot holds nothing that was committed when its cut was told of', async () => {
  const disk = new FaultDisk();
  await using store = (await diskStore(disk)).store;
  store.put('/a', 1);
  const made = committing(store, 1);
  using snapshot = store.snapshot();
  expect(made).toHaveLength(1);
  expect(snapshot.get('')).toEqual({ a: 1 });
  await store.flush();
  const frame = (await framesOf(store.journal)).find(({ header }) => header.last.revision === snapshot.header.position.revision);
  expect(snapshot.header.digest).toBe(frame!.header.digest);
});

test('an epoch that begins behind open commits has a frame of its own, and what is committed then comes after it', async () => {
  const disk = new FaultDisk();
  const { store } = await diskStore(disk);
  store.put('/a', 1);
  const made = committing(store, 2);
  store.beginEpoch({ number: 2, id: 'ee'.repeat(8) }, 'claim');
  await store.flush();
  expect(await durable(made)).toEqual(['durable', 'durable']);
  const begun = (await framesOf(store.journal))
    .filter(({ header }) => header.beginsEpoch)
    .map(({ header }) => [header.epoch, header.count]);
  expect(begun).toEqual([
    [1, 1],
    [2, 1],
  ]);
  await store.close();
  expect(await heardAfterRestart(disk)).toEqual({ 0: 0, 1: 1 });
});
