import type { Snapshot, Store } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { Stability } from './stability.ts';

async function copyTo(store: Store, snapshot: Snapshot): Promise<void> {
  const receiver = await store.receiveSnapshot(snapshot.header);
  for (const chunk of snapshot.chunks()) await receiver.add(chunk);
  await receiver.finish();
}

describe('a commit that may leave the process', () => {
  it('is, after a rewind, one of the present history, never one that was lost', async () => {
    const clock = new ManualClock();
    // Nothing becomes stable in it before its clock moves.
    const { store } = await memoryStore({ site: 'a', clock });
    store.put('/shared', 1);
    await store.flush();
    clock.advance(1);
    using stability = new Stability(store);
    await using promoted = (await memoryStore({ site: 'b', role: 'secondary' })).store;
    for (const frame of await framesOf(store.journal)) promoted.applyFrame(frame);
    await promoted.journal.identity.setRole('primary');
    promoted.beginEpoch({ number: 2, id: '22'.repeat(8) }, 'a test asked for it');
    promoted.put('/promoted', 1);

    const { position: shared } = store;
    store.put('/lost', 1);
    const { position: lost } = store;
    const written = Promise.allSettled([stability.reached(lost)]);
    const read = stability.read();
    await store.journal.identity.setRole('secondary');
    using snapshot = promoted.snapshot();
    await copyTo(store, snapshot);

    expect(await written).toEqual([
      {
        status: 'rejected',
        reason: expect.objectContaining({ code: 'FENCED', details: { position: lost, last: snapshot.position } }) as Error,
      },
    ]);
    await expect(stability.reached(lost)).rejects.toMatchObject({ code: 'FENCED' });
    await expect(stability.reached(shared)).resolves.toBeUndefined();
    using reading = await read;
    expect([reading.snapshot.position, reading.snapshot.get('')]).toEqual([snapshot.position, { shared: 1, promoted: 1 }]);
    await store.close();
  });
});
