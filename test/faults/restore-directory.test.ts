import { type Frame, frameHash, NO_CHAIN, ORIGIN, type SnapshotHeader } from '@evertree/core';
import { removeUnfinished, writeSite, writeUnfinished } from '@evertree/journal/files';
import { describe, expect, test } from 'vitest';
import { restoreEpochFrame, restoreEpochNumber, RESTORE_REASON } from '../../packages/archive/src/restore/restore-epoch.ts';
import { RestoredHistory } from '../../packages/archive/src/restore/restored-history.ts';
import { RestoredImage } from '../../packages/archive/src/restore/restored-image.ts';
import { WriteQueue } from '../../packages/archive/src/restore/write-queue.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemRandom } from '../support/host.ts';
import { filesOf, recovered, stoppedSite, verify } from '../support/offline-site.ts';
import { framesOf } from '../support/stores.ts';

const START = { position: ORIGIN, chain: NO_CHAIN };

async function someFrames(): Promise<{ readonly frames: Frame[]; readonly digest: string }> {
  const { disk, digest } = await stoppedSite({ commits: 40, openings: 2, snapshots: 0 });
  const store = await recovered(disk);
  const frames = await framesOf(store.journal);
  await store.close();
  return { frames, digest };
}

async function written(disk: FaultDisk, frames: readonly Frame[], segmentBytes = 3_000): Promise<RestoredHistory> {
  await disk.makeDirectory('journal');
  const history = new RestoredHistory(disk, systemRandom, segmentBytes);
  for (const frame of frames) await history.write(frame);
  return history;
}

async function kept(disk: FaultDisk): Promise<{ readonly frames: Frame[]; readonly history: RestoredHistory }> {
  const frames: Frame[] = [];
  const history = new RestoredHistory(disk, systemRandom, 3_000);
  await history.keep(START, frame => frames.push(frame) > 0);
  return { frames, history };
}

describe('the history of a restored directory', () => {
  test('keeps what a killed attempt wrote, and goes on after it', async () => {
    const { frames } = await someFrames();
    for (const count of [0, 1, 7, 20, frames.length]) {
      const disk = new FaultDisk();
      await written(disk, frames.slice(0, count));
      const found = disk.crash();
      const { frames: before, history } = await kept(found);
      expect(before.map(frameHash)).toEqual(frames.slice(0, before.length).map(frameHash));
      for (const frame of frames.slice(before.length)) await history.write(frame);
      await history.seal();
      expect((await kept(found)).frames.map(frameHash)).toEqual(frames.map(frameHash));
      expect(filesOf(found, '.tmp')).toEqual([]);
    }
  });

  test('loses nothing but what follows a damaged byte', async () => {
    const { frames } = await someFrames();
    const disk = new FaultDisk();
    await (await written(disk, frames)).seal();
    for (const [index, path] of filesOf(disk, '.evj').entries()) {
      const found = disk.image();
      found.overwrite(path, bytes => {
        bytes[Math.floor(bytes.length / 2)]! ^= 1;
        return bytes;
      });
      const { frames: before, history } = await kept(found);
      expect(before.length, path).toBeLessThan(frames.length);
      expect(filesOf(found, '.evj').length + filesOf(found, '.evj.tmp').length, path).toBeLessThanOrEqual(index + 1);
      for (const frame of frames.slice(before.length)) await history.write(frame);
      await history.seal();
      expect((await kept(found)).frames.map(frameHash), path).toEqual(frames.map(frameHash));
    }
  });

  test('opens as a site with an epoch of its own', async () => {
    const { frames, digest } = await someFrames();
    const disk = new FaultDisk();
    await disk.makeDirectory('snapshots');
    await writeUnfinished(disk, { work: 'restore' });
    const history = await written(disk, frames);
    const last = frames.at(-1)!;
    const { stream, last: position } = last.header;
    const number = restoreEpochNumber(7, []);
    const end = { stream, position, digest, chain: frameHash(last) };
    const frame = restoreEpochFrame(end, { number, site: 'again', now: 1_800_000_000_000, random: systemRandom });
    await history.write(frame);
    await history.seal();
    await expect(recovered(disk.image())).rejects.toMatchObject({
      code: 'UNFINISHED',
      message: expect.stringContaining('"evertree restore" did not end there: run it again as it was run') as string,
    });
    const record = {
      site: 'again',
      role: 'primary',
      fencedBy: undefined,
      heard: undefined,
      declined: [],
      closedAt: frame.header.last,
    } as const;
    await writeSite(disk, { ...record, directory: await disk.mark() });
    await removeUnfinished(disk);
    expect(await verify(disk)).toMatchObject({ damageCount: 0, last: { epoch: 9, revision: position.revision + 1 }, digest });
    const store = await recovered(disk);
    expect([store.role, store.digest]).toEqual(['primary', digest]);
    expect(store.lineage.epochs.at(-1)).toMatchObject({ number: 9, reason: RESTORE_REASON, site: 'again', base: position });
    await store.close();
  });
});

describe('the image of a restored directory', () => {
  const header: SnapshotHeader = {
    stream: 'ab'.repeat(16),
    position: { epoch: 1, epochId: 'cd'.repeat(8), revision: 5 },
    digest: 'ef'.repeat(8),
    chain: NO_CHAIN,
    epochs: [],
    marks: [],
    time: 17,
  };
  const chunks = [1, 2, 3, 4].map(byte => Buffer.alloc(1_000 * byte, byte));

  test('goes on after the chunks that its state names', async () => {
    const disk = new FaultDisk();
    await disk.makeDirectory('snapshots');
    const image = new RestoredImage(disk, header.position);
    await image.begin(header);
    await image.write(chunks[0]!);
    await image.write(chunks[1]!);
    const { written: state } = image;
    await image.write(chunks[2]!);
    const found = disk.crash();
    const again = new RestoredImage(found, header.position);
    expect(await again.whole()).toBe(undefined);
    const resumed = (await again.resume(state))!;
    expect(resumed.header).toEqual(header);
    expect(await Array.fromAsync(resumed.chunks())).toEqual(chunks.slice(0, 2));
    await again.write(chunks[2]!);
    await again.write(chunks[3]!);
    await again.commit();
    const whole = (await new RestoredImage(found, header.position).whole())!;
    expect(whole.header).toEqual(header);
    expect(await Array.fromAsync(whole.chunks())).toEqual(chunks);
  });

  test('is not there after a power loss before anything was durable', async () => {
    const disk = new FaultDisk();
    await disk.makeDirectory('snapshots');
    const image = new RestoredImage(disk, header.position);
    await image.begin(header);
    await image.write(chunks[0]!);
    const { written: state } = image;
    const found = disk.powerLoss(() => 0.99);
    expect(await new RestoredImage(found, header.position).resume(state)).toBe(undefined);
  });

  test('tells chunks that are not what was written', async () => {
    const disk = new FaultDisk();
    await disk.makeDirectory('snapshots');
    const image = new RestoredImage(disk, header.position);
    await image.begin(header);
    await image.write(chunks[3]!);
    const { written: state } = image;
    await image.leave();
    const path = filesOf(disk, '.tmp')[0]!;
    disk.overwrite(path, bytes => {
      bytes[bytes.length - 7]! ^= 1;
      return bytes;
    });
    const resumed = (await new RestoredImage(disk, header.position).resume(state))!;
    await expect(Array.fromAsync(resumed.chunks())).rejects.toMatchObject({ code: 'DAMAGED', details: { file: path } });
  });
});

describe('a queue of writes', () => {
  test('does one after the other, and ends with the first error', async () => {
    const done: number[] = [];
    const queue = new WriteQueue();
    await queue.add(1, async () => void done.push(1));
    await queue.add(1, () => Promise.reject(new Error('full')));
    await queue.add(1, async () => void done.push(3));
    await expect(queue.drain()).rejects.toThrow('full');
    await expect(queue.add(1, async () => void done.push(4))).rejects.toThrow('full');
    expect(done).toEqual([1]);
  });

  test('lets its caller wait while too much waits', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const queue = new WriteQueue();
    await queue.add(9 * 1024 * 1024, () => promise);
    let isAdded = false;
    const adding = queue.add(1, async () => undefined).then(() => (isAdded = true));
    await Promise.resolve();
    expect(isAdded).toBe(false);
    resolve();
    await adding;
    await queue.drain();
    expect(isAdded).toBe(true);
  });
});
