import type { Disk, DiskFile } from '@evertree/core';
import { isMissing } from '../groups/failure.ts';
import { TEMPORARY_SUFFIX } from './layout.ts';

/** The most bytes of a state file that are read. */
const STATE_FILE_LIMIT_BYTES = 4 * 1024 * 1024;

/** The text of a small file in the site's directory; undefined if there is none. */
export async function readStateFile(disk: Disk, path: string): Promise<string | undefined> {
  let file: DiskFile;
  try {
    file = await disk.open(path, {});
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const buffer = Buffer.alloc(Math.min(await file.size(), STATE_FILE_LIMIT_BYTES));
    const length = await file.read(buffer, 0);
    return buffer.toString('utf8', 0, length);
  } finally {
    await file.close();
  }
}

/** Replaces a small file durably and atomically. */
export async function writeStateFile(disk: Disk, path: string, value: unknown): Promise<void> {
  const temporaryPath = path + TEMPORARY_SUFFIX;
  const file = await disk.open(temporaryPath, { create: true, write: true });
  try {
    await file.truncate(0);
    await file.write([Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, 'utf8')], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporaryPath, path);
  await disk.syncDirectory(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
}
