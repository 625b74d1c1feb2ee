import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { FaultDisk } from '../../../../test/support/fault-disk.ts';
import { SegmentFiles } from './segment-files.ts';

const BYTES = Buffer.from('a segment');
const NAMES = Array.from({ length: 40 }, (_, index) => `${index}.evj`);

/** Files that are there, and how many of them are open. */
async function prepare() {
  const disk = new FaultDisk();
  await disk.makeDirectory('journal');
  for (const name of NAMES) {
    const file = await disk.open(`journal/${name}`, { create: true, write: true });
    await file.write([BYTES], 0);
    await file.close();
  }
  const count = { open: 0 };
  const files = new SegmentFiles({
    open: async (path, options) => {
      const file = await disk.open(path, options);
      count.open++;
      const close = file.close.bind(file);
      // As on a real disk, closing takes a while: other questions go on meanwhile.
      return Object.assign(file, {
        close: async () => {
          await new Promise<void>(resolve => void setImmediate(resolve));
          await close();
          count.open--;
        },
      });
    },
  });
  return { files, count, read: async (name: string) => files.chunk(name, 0, BYTES.length, crc32(BYTES)) };
}

test('questions that read more segments at the same time than stay open all get their bytes, and every file is closed', async () => {
  const { files, count, read } = await prepare();
  const questions = Array.from({ length: 8 }, async (_, question) => {
    for (const [index] of NAMES.entries()) expect(await read(NAMES[(index + question * 5) % NAMES.length]!)).toEqual(BYTES);
  });
  await Promise.all(questions);
  expect(count.open).toBeLessThanOrEqual(16);
  await files.close();
  expect(count.open).toBe(0);
});

test('a question that is under way when all is closed gets its bytes, and leaves nothing open', async () => {
  const { files, count, read } = await prepare();
  const before = read(NAMES[0]!);
  await files.close();
  expect(await before).toEqual(BYTES);
  expect(await read(NAMES[1]!)).toEqual(BYTES);
  expect(count.open).toBe(0);
});
