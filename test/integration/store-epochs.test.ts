import { covers, frameHash, type Frame, type Snapshot, type Store } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { ManualClock } from '../support/host.ts';
import { diskStore, framesOf, memoryStore } from '../support/stores.ts';

const EPOCH_TWO = { number: 2, id: '22'.repeat(8) };

async function copyTo(store: Store, snapshot: Snapshot): Promise<void> {
  const receiver = await store.receiveSnapshot(snapshot.header);
  for (const chunk of snapshot.chunks()) await receiver.add(chunk);
  await receiver.finish();
}

/** What a site needs of each frame to know that it follows the one before it. */
function links(frames: readonly Frame[]): unknown[] {
  return frames.map(({ header: { base, previous } }) => ({ base, previous }));
}

describe.each(['binary', 'json'] as const)('a site that begins an epoch of its own, with %s frames,', encoding => {
  it('bases it on the frames that it followed, and later frames on that epoch', async () => {
    const clock = new ManualClock();
    clock.advance(9_000);
    await using primary = (await memoryStore({ site: 'a', clock })).store;
    for (const value of [1, 2, 3]) {
      primary.put('/a', value);
      primary.cut();
    }
    const laggingClock = new ManualClock();
    laggingClock.advance(4_000);
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { site: 'b', role: 'secondary', clock: laggingClock, encoding });
    const followed = await framesOf(primary.journal);
    for (const frame of followed) store.applyFrame(frame);
    expect(store.snapshot().header.time).toBe(9_000);
    await store.journal.identity.setRole('primary');
    store.beginEpoch(EPOCH_TWO, 'a test asked for it');
    laggingClock.advance(500);
    store.put('/b', 1);
    laggingClock.advance(-100);
    store.put('/b', 2);
    const { header: own } = store.snapshot();
    await store.flush();

    const base = followed.at(-1)!.header.last;
    expect(store.epochs.at(-1)).toEqual({ ...EPOCH_TWO, site: 'b', base, reason: 'a test asked for it', time: 4_000 });
    const frames = await framesOf(store.journal);
    const [begins, wrote] = frames.slice(followed.length) as [Frame, Frame];
    expect(begins.header).toMatchObject({ beginsEpoch: true, epoch: 2, epochId: EPOCH_TWO.id, base, firstTime: 4_000, lastTime: 4_000 });
    expect(wrote.header).toMatchObject({ base: begins.header.last, firstTime: 4_500, lastTime: 4_500, digest: store.digest });
    expect(links(frames.slice(1))).toEqual(frames.slice(0, -1).map(frame => ({ base: frame.header.last, previous: frameHash(frame) })));
    expect(own.time).toBe(4_500);

    await using follower = (await memoryStore({ role: 'secondary' })).store;
    for (const frame of frames) follower.applyFrame(frame);
    expect(follower.snapshot().header).toEqual(own);
    await store.close();
    await using again = (await diskStore(disk, { site: 'b' })).store;
    expect(again.snapshot().header).toEqual(own);
  });

  it('bases it on the snapshot that it took', async () => {
    await using primary = (await memoryStore({ site: 'a' })).store;
    primary.put('/a', 1);
    using snapshot = primary.snapshot();
    const disk = new FaultDisk();
    const { store } = await diskStore(disk, { site: 'b', role: 'secondary', encoding });
    await copyTo(store, snapshot);
    await store.journal.identity.setRole('primary');
    store.beginEpoch(EPOCH_TWO, 'a test asked for it');
    store.put('/b', 1);
    await store.flush();
    const { header: own } = store.snapshot();
    const [begins, wrote] = (await framesOf(store.journal)) as [Frame, Frame];
    expect(links([begins, wrote])).toEqual([
      { base: snapshot.position, previous: snapshot.header.chain },
      { base: begins.header.last, previous: frameHash(begins) },
    ]);

    await using follower = (await memoryStore({ role: 'secondary' })).store;
    await copyTo(follower, snapshot);
    for (const frame of [begins, wrote]) follower.applyFrame(frame);
    expect(follower.snapshot().header).toEqual(own);
    await store.close();
    await using again = (await diskStore(disk, { site: 'b' })).store;
    expect(again.snapshot().header).toEqual(own);
  });
});

describe('an epoch of its own', () => {
  it('begins after what was committed before', async () => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    const before = store.position;
    store.beginEpoch(EPOCH_TWO, 'a test asked for it');
    expect(store.position).toEqual({ epoch: 2, epochId: EPOCH_TWO.id, revision: before.revision + 1 });
    expect(store.epochs.at(-1)!.base).toEqual(before);
    expect(covers({ epochs: store.epochs, last: store.position }, before)).toBe(true);
    expect(store.put('/a', 2).position).toEqual({ epoch: 2, revision: before.revision + 2 });
  });

  it('needs a history, a number above the present one and above those that the site heard of, or the one that it promised', async () => {
    await using store = (await memoryStore()).store;
    store.put('/a', 1);
    await store.flush();
    const { position, epochs } = store;
    expect(() => store.beginEpoch({ number: 1, id: 'ff'.repeat(8) }, 'test')).toThrow(
      expect.objectContaining({ code: 'HISTORY_MISMATCH', details: expect.objectContaining({ base: position }) }),
    );
    expect([store.position, store.epochs]).toEqual([position, epochs]);
    await using secondary = (await memoryStore({ role: 'secondary' })).store;
    expect(() => secondary.beginEpoch(EPOCH_TWO, 'test')).toThrow(expect.objectContaining({ code: 'HISTORY_MISMATCH' }));
    await expect(secondary.prepareToLead()).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
    for (const frame of await framesOf(store.journal)) secondary.applyFrame(frame);
    await secondary.fence({ number: 4, id: '44'.repeat(8) }, false);
    for (const number of [2, 4]) {
      expect(() => secondary.beginEpoch({ number, id: '33'.repeat(8) }, 'test')).toThrow(
        expect.objectContaining({ code: 'HISTORY_MISMATCH' }),
      );
    }
    secondary.beginEpoch({ number: 4, id: '44'.repeat(8) }, 'test');
    expect([secondary.standing, secondary.position]).toEqual([
      'primary',
      { epoch: 4, epochId: '44'.repeat(8), revision: position.revision + 1 },
    ]);
    await secondary.fence({ number: 5, id: '55'.repeat(8) }, true);
    expect(() => secondary.beginEpoch({ number: 5, id: '55'.repeat(8) }, 'test')).toThrow(
      expect.objectContaining({ code: 'HISTORY_MISMATCH' }),
    );
    secondary.beginEpoch({ number: 6, id: '66'.repeat(8) }, 'test');
    expect([secondary.standing, secondary.put('/a', 3).position.epoch]).toEqual(['primary', 6]);
  });
});

describe('a commit that a rewind removed', () => {
  it('is rejected with both positions, while it waits and when it asks later; commits before the fork go on', async () => {
    const { store: old } = await diskStore(new FaultDisk(), { site: 'a' });
    const kept = old.put('/a', 1);
    await old.flush();
    await using promoted = (await memoryStore({ site: 'b', role: 'secondary' })).store;
    for (const frame of await framesOf(old.journal)) promoted.applyFrame(frame);
    await promoted.journal.identity.setRole('primary');
    promoted.beginEpoch(EPOCH_TWO, 'a test asked for it');
    promoted.put('/b', 1);

    const lost = old.put('/a', 2);
    const lostPosition = old.position;
    await old.flush();
    old.acknowledge('c', lostPosition);
    await expect(lost.acknowledged(1)).resolves.toBe(1);
    const outcomes = Promise.allSettled([lost.acknowledged(2), kept.acknowledged(2)]);
    await old.journal.identity.setRole('secondary');
    using snapshot = promoted.snapshot();
    await copyTo(old, snapshot);
    // The site that had the lost commit holds what comes before the fork, and nothing after it.
    await expect(kept.acknowledged(1)).resolves.toBe(1);
    old.acknowledge('d', snapshot.position);

    const fenced = { code: 'FENCED', details: { position: lostPosition, last: snapshot.position } };
    expect(await outcomes).toEqual([
      { status: 'rejected', reason: expect.objectContaining(fenced) },
      { status: 'fulfilled', value: 2 },
    ]);
    await expect(lost.acknowledged(1)).rejects.toMatchObject(fenced);
    await expect(lost.durable).rejects.toMatchObject(fenced);
    await expect(kept.durable).resolves.toBeUndefined();
    expect(lost.position).toEqual({ epoch: 1, revision: lostPosition.revision });
    await old.close();
  });
});

describe('a secondary that is forgotten', () => {
  it('counts for no commit any more', async () => {
    await using store = (await memoryStore()).store;
    const commit = store.put('/a', 1);
    store.acknowledge('b', store.position);
    await expect(commit.acknowledged(1)).resolves.toBe(1);
    store.forgetAcknowledgement('b');
    await expect(commit.acknowledged(1, { timeoutMs: 5 })).rejects.toMatchObject({
      code: 'ACKNOWLEDGEMENT_TIMEOUT',
      details: { acknowledged: 0 },
    });
  });
});
