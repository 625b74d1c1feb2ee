import { expect, test } from 'vitest';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';

/** The commits of each frame that one turn of the event loop makes, behind the one that begins the epoch. */
async function commitsOfFrames(encoding: 'binary' | 'json'): Promise<number[]> {
  const { store } = await memoryStore({ encoding });
  await using _ = store;
  for (let index = 0; index < 10_000; index++) store.put(`/wide/${index}`, 1);
  await store.flush();
  return (await framesOf(store.journal)).slice(1).map(({ header }) => header.count);
}

test('a frame is cut behind the 1,024th key that it spells', async () => {
  // One key of each is that of the wide object itself.
  expect(await commitsOfFrames('binary')).toEqual([1023, 1023, 1023, 1023, 1023, 1023, 1023, 1023, 1023, 793]);
});

test('frames of JSON, which spell whole paths, are cut by their bytes alone', async () => {
  const [first] = await commitsOfFrames('json');
  expect(first).toBeLessThan(4095);
});
