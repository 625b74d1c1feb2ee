import { Archive, FlipPlant } from '@evertree/archive';
import { expect, test } from 'vitest';
import { buildArchive, type RandomStream } from '../support/archive-builder.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit } from '../support/offline-site.ts';
import { diskStore, framesOf } from '../support/stores.ts';

/** A history of a site that was started twice: its end is in another epoch of the same number. */
async function restartedStream(): Promise<RandomStream> {
  const disk = new FaultDisk();
  {
    const { store } = await diskStore(disk);
    for (let n = 0; n < 20; n++) await commit(store, n, n + 1);
    await store.close();
  }
  const { store } = await diskStore(disk);
  for (let n = 20; n < 40; n++) await commit(store, n, n + 1);
  const frames = await framesOf(store.journal);
  await store.close();
  return { frames, images: new Map() };
}

test('a flip is planted in what the restore needs, not in what it read to choose a line', async () => {
  const target = new MemoryTarget();
  const stream = await restartedStream();
  const { id: line } = await buildArchive({ target, stream, stretchFrames: 4 });
  await buildArchive({ target, stream, stretchFrames: 4, to: 15 });
  const objects = new Set<string>();
  for (let seed = 0; seed < 16; seed++) {
    const plant = new FlipPlant(seed);
    const archive = await Archive.open(plant.watch(target));
    const plan = await archive.plan(stream.frames[6]!.header.last, { line });
    for await (const _ of archive.frames(plan));
    const flip = await plant.read(target, { line, position: plan.position, identities: undefined });
    expect(flip, `seed ${seed}`).toMatchObject({ found: true });
    objects.add(flip!.object);
  }
  expect([...objects].toSorted()).toEqual((await neededBy(target, line, stream)).toSorted());
});

async function neededBy(target: MemoryTarget, line: string, { frames }: RandomStream): Promise<string[]> {
  const { stretches } = await (await Archive.open(target)).plan(frames[6]!.header.last, { line });
  return stretches.map(({ path }) => path);
}
