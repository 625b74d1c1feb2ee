import { expect, it } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { diskStore, framesOf } from '../../../../test/support/stores.ts';
import { touchesInSteps } from './frame-touches.ts';
import { PathTable } from './path-table.ts';

it('a huge value of a frame is stepped over with pauses', async () => {
  const { store } = await diskStore(new FaultDisk());
  const members = 60_000;
  store.put('/huge', Object.fromEntries(Array.from({ length: members }, (_, n) => [`k${n}`, n])));
  await store.flush();
  const touches: string[] = [];
  let pauses = 0;
  for (const frame of await framesOf(store.journal)) {
    const steps = touchesInSteps(frame, new PathTable(), (path, revision, operation) => touches.push(`${path} ${revision} ${operation}`));
    for (const _ of steps) pauses++;
  }
  expect(touches).toEqual(['1 2 0']);
  expect(pauses).toBeGreaterThan(members / 2_048);
  await store.close();
});
