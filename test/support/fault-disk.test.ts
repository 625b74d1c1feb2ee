import type { DiskFile } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { FaultDisk } from './fault-disk.ts';
import { Simulation } from './simulation.ts';

/** A file of synced zeros. */
async function prepare(options: { readonly blockBytes?: 512 | 4096; readonly durableWrites?: boolean } = {}) {
  const disk = new FaultDisk(options);
  await disk.makeDirectory('d');
  await disk.syncDirectory('');
  const file = await disk.open('d/file', { create: true, write: true, durableWrites: options.durableWrites ?? false });
  await file.write([Buffer.alloc(4_096)], 0);
  await file.sync();
  await disk.syncDirectory('d');
  return { disk, file };
}

/** After a power loss that keeps all that was not synced, or none of it: the third draw decides that. */
function powerLoss(disk: FaultDisk, keeps: boolean): FaultDisk {
  let draws = 0;
  return disk.powerLoss(() => (draws++ === 2 ? (keeps ? 0.3 : 0) : 0.5));
}

function write(file: DiskFile, byte: number, length: number, offset = 0): Promise<void> {
  return file.write([Buffer.alloc(length, byte)], offset);
}

async function code(attempt: () => unknown): Promise<unknown> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return isEvertreeError(error) ? error.code : (error as { code?: unknown }).code;
  }
}

describe('what a power loss takes', () => {
  test('may be all that was not synced, or nothing', async () => {
    const { disk, file } = await prepare();
    await write(file, 1, 600);
    expect(powerLoss(disk, false).bytes('d/file')).toEqual(Buffer.alloc(4_096));
    const again = await prepare();
    await write(again.file, 1, 600);
    expect(powerLoss(again.disk, true).bytes('d/file').subarray(0, 601)).toEqual(Buffer.concat([Buffer.alloc(600, 1), Buffer.alloc(1)]));
  });

  test('is never a durable write for what was written to the same place before, and never synced', async () => {
    for (const keeps of [true, false]) {
      const { disk, file } = await prepare({ durableWrites: true });
      disk.leaveRoom(0);
      await expect(write(file, 7, 4_096, 2_048)).rejects.toThrow('ENOSPC');
      await file.truncate(3_000);
      await write(file, 1, 600, 2_048);
      const found = powerLoss(disk, keeps).bytes('d/file');
      expect([found.length, found.subarray(2_048, 2_648)]).toEqual([3_000, Buffer.alloc(600, 1)]);
    }
  });

  test('is never what was synced, nor a write of a durable file that was answered', async () => {
    const synced = await prepare();
    await write(synced.file, 1, 600);
    await synced.file.sync();
    const durable = await prepare({ durableWrites: true });
    await write(durable.file, 1, 600);
    durable.file.writeSync([Buffer.alloc(600, 1)], 600);
    for (const { disk } of [synced, durable]) {
      expect(powerLoss(disk, false).bytes('d/file').subarray(0, 600)).toEqual(Buffer.alloc(600, 1));
    }
    expect(durable.disk.bytes('d/file').subarray(600, 1_200)).toEqual(Buffer.alloc(600, 1));
  });

  test.each([512, 4096] as const)('is chosen block by block (%i), in any order, within one write, too', async blockBytes => {
    const simulation = new Simulation(7);
    const seen = new Set<string>();
    for (let round = 0; round < 200; round++) {
      const disk = new FaultDisk({ blockBytes });
      const file = await disk.open('file', { create: true, write: true });
      await file.write([Buffer.alloc(3 * blockBytes)], 0);
      await file.sync();
      await disk.syncDirectory('');
      await write(file, 1, 3 * blockBytes);
      const bytes = disk.powerLoss(() => simulation.fraction()).bytes('file');
      const blocks = [0, 1, 2].map(index => bytes.subarray(index * blockBytes, (index + 1) * blockBytes));
      for (const block of blocks) expect([Buffer.alloc(blockBytes), Buffer.alloc(blockBytes, 1)]).toContainEqual(block);
      seen.add(blocks.map(block => block[0]).join(''));
    }
    expect([...seen].toSorted()).toEqual(['000', '001', '010', '011', '100', '101', '110', '111']);
  });

  test('may be an older write to the same bytes, where the newer one is there', async () => {
    const simulation = new Simulation(9);
    const seen = new Set<string>();
    for (let round = 0; round < 100; round++) {
      const { disk, file } = await prepare();
      await write(file, 1, 512);
      await write(file, 2, 100);
      const bytes = disk.powerLoss(() => simulation.fraction()).bytes('d/file');
      seen.add(`${bytes[0]}${bytes[200]}`);
    }
    expect([...seen].toSorted()).toEqual(['00', '11', '20', '21']);
  });

  test('may be a truncation, and then the bytes after it are there again', async () => {
    for (const keeps of [false, true]) {
      const { disk, file } = await prepare();
      await file.truncate(100);
      expect(disk.bytes('d/file')).toHaveLength(100);
      expect(powerLoss(disk, keeps).bytes('d/file')).toHaveLength(keeps ? 100 : 4_096);
    }
  });

  test('bytes that a file gains after a truncation are zero', async () => {
    const { disk, file } = await prepare();
    await write(file, 1, 300);
    await file.truncate(100);
    await write(file, 2, 10, 290);
    expect(disk.bytes('d/file').subarray(100, 290)).toEqual(Buffer.alloc(190));
  });

  test('is a name as long as its directory is not synced: a new file, a rename and a removal', async () => {
    const cases: [string, (disk: FaultDisk) => Promise<unknown>, string[], string[]][] = [
      ['a new file', disk => disk.open('d/new', { create: true, write: true }), ['d/file'], ['d/file', 'd/new']],
      ['a rename', disk => disk.rename('d/file', 'd/other'), ['d/file'], ['d/other']],
      ['a removal', disk => disk.remove('d/file'), ['d/file'], []],
    ];
    for (const [name, change, before, after] of cases) {
      const unsynced = await prepare();
      await change(unsynced.disk);
      expect(powerLoss(unsynced.disk, false).files, name).toEqual(before);
      const kept = await prepare();
      await change(kept.disk);
      expect(powerLoss(kept.disk, true).files, name).toEqual(after);
      const synced = await prepare();
      await change(synced.disk);
      await synced.disk.syncDirectory('d');
      expect(powerLoss(synced.disk, false).files, name).toEqual(after);
    }
  });

  test('syncing another directory, or the file itself, does not make its name durable', async () => {
    const { disk } = await prepare();
    const file = await disk.open('d/new', { create: true, write: true });
    await write(file, 1, 10);
    await file.sync();
    await disk.syncDirectory('');
    expect(powerLoss(disk, false).files).toEqual(['d/file']);
  });

  test('a rename into another directory takes no file along that came under the old name later', async () => {
    for (const keeps of [true, false]) {
      const { disk, file } = await prepare();
      await disk.makeDirectory('aside');
      await disk.syncDirectory('');
      await disk.rename('d/file', 'aside/file');
      await file.close();
      const other = await disk.open('d/file', { create: true, write: true });
      await write(other, 1, 100);
      await other.sync();
      await disk.syncDirectory('d');
      expect(powerLoss(disk, keeps).bytes('d/file')).toEqual(Buffer.alloc(100, 1));
    }
  });

  test('a rename that was kept brings a file whose creation was lost', async () => {
    const { disk } = await prepare();
    await disk.open('d/new', { create: true, write: true });
    await disk.rename('d/new', 'd/named');
    await disk.syncDirectory('d');
    expect(powerLoss(disk, false).files.toSorted()).toEqual(['d/file', 'd/named']);
  });
});

describe('what the death of the process takes', () => {
  test('is nothing: what it wrote is in the page cache, and so not durable', async () => {
    const { disk, file } = await prepare();
    await write(file, 1, 600);
    await disk.open('d/new', { create: true, write: true });
    const found = disk.crash();
    expect([found.files.toSorted(), found.bytes('d/file')[0]]).toEqual([['d/file', 'd/new'], 1]);
    expect(powerLoss(found, false).files).toEqual(['d/file']);
    expect(found.bytes('d/file')[0]).toBe(1);
  });

  test('is the process itself: it does nothing more, and its lock is released', async () => {
    const { disk, file } = await prepare();
    await disk.lock();
    const found = disk.crash();
    expect([disk.isDead, await code(() => write(file, 1, 10)), await code(() => disk.list('d'))]).toEqual([true, 'EDEAD', 'EDEAD']);
    expect(found.bytes('d/file')).toEqual(Buffer.alloc(4_096));
    await found.lock();
    expect(await code(() => found.lock())).toBe('DIRECTORY_IN_USE');
  });

  test('comes before the step that it was set to, whatever that is', async () => {
    const steps: ((disk: FaultDisk, file: DiskFile) => Promise<unknown>)[] = [
      (_, file) => write(file, 1, 10),
      (_, file) => file.sync(),
      (_, file) => file.truncate(1),
      disk => disk.rename('d/file', 'd/other'),
      disk => disk.remove('d/file'),
      disk => disk.makeDirectory('e'),
      disk => disk.syncDirectory('d'),
    ];
    for (const step of steps) {
      const { disk, file } = await prepare();
      disk.dieAfter(0);
      expect(await code(() => step(disk, file))).toBe('EDEAD');
      expect([disk.files, disk.bytes('d/file')]).toEqual([['d/file'], Buffer.alloc(4_096)]);
      const later = await prepare();
      later.disk.dieAfter(1);
      expect(await code(() => step(later.disk, later.file))).toBe(undefined);
      expect(await code(() => later.disk.makeDirectory('f'))).toBe('EDEAD');
    }
  });
});

describe('what it makes fail', () => {
  test('is what it was told to, as often as it was told to', async () => {
    const { disk, file } = await prepare();
    const failing = disk.fail({ operation: 'write', path: /file/, code: 'EIO', times: 2 });
    expect([await code(() => write(file, 1, 1)), await code(() => file.writeSync([Buffer.alloc(1)], 0))]).toEqual(['EIO', 'EIO']);
    expect(await code(() => write(file, 1, 1))).toBe(undefined);
    failing[Symbol.dispose]();
    using _ = disk.fail({ operation: 'sync', path: /other/, code: 'EIO' });
    expect(await code(() => file.sync())).toBe(undefined);
  });

  test('is a write without room, after what fits; and there is room again when a file goes', async () => {
    const { disk, file } = await prepare();
    disk.capacityBytes = 4_096 + 100;
    expect(await code(() => write(file, 1, 200, 4_096))).toBe('ENOSPC');
    expect([disk.bytes('d/file').length, (await disk.space()).freeBytes]).toEqual([4_196, 0]);
    expect(await code(() => write(file, 2, 4_196))).toBe(undefined);
    await disk.remove('d/file');
    expect((await disk.space()).freeBytes).toBe(4_196);
  });

  test('is the use of a file that is closed, and closing one that is in use', async () => {
    const { disk, file } = await prepare();
    const release = disk.hold('write');
    const writing = write(file, 1, 10);
    expect(await code(() => file.close())).toBe('EBUSY');
    release();
    await writing;
    await file.close();
    expect([await code(() => write(file, 1, 1)), await code(() => file.sync()), await code(() => file.close())]).toEqual([
      'EBADF',
      'EBADF',
      'EBADF',
    ]);
    expect(await code(() => disk.open('missing', {}))).toBe('ENOENT');
  });

  test('a call that is held has no effect until it is released', async () => {
    const { disk, file } = await prepare();
    const release = disk.hold('write', /file/);
    const writing = write(file, 1, 10);
    for (let turn = 0; turn < 5; turn++) await new Promise(resolve => void setImmediate(resolve));
    expect(disk.bytes('d/file')[0]).toBe(0);
    release();
    await writing;
    expect(disk.bytes('d/file')[0]).toBe(1);
  });
});

test('a copy has the files as they were, another mark, and changes independently', async () => {
  const { disk, file } = await prepare();
  await write(file, 1, 10);
  const copy = disk.copy();
  await write(file, 2, 10);
  expect([copy.bytes('d/file')[0], await disk.mark(), await copy.mark()]).toEqual([1, 'original', 'original, copied']);
  const torn = disk.copy((path, bytes) => (path === 'd/file' ? undefined : bytes));
  expect(torn.files).toEqual([]);
  expect(powerLoss(copy, false).bytes('d/file')[0]).toBe(1);
});
