import type { Disk } from '@evertree/core';
import { asError, isNoSpace } from '../groups/failure.ts';
import { SEGMENT_DIRECTORY, TEMPORARY_SUFFIX } from '../site/layout.ts';
import { removeFiles } from './removal.ts';

/** A disk with less free room counts as full. A new segment and its first group take about as much. */
const ROOM_BYTES = 64 * 1024;

/** Tries whether the disk takes new bytes. @returns its error if it is full */
export async function findShortage(disk: Disk): Promise<Error | undefined> {
  const path = `${SEGMENT_DIRECTORY}/probe-room${TEMPORARY_SUFFIX}`;
  try {
    const file = await disk.open(path, { create: true, write: true });
    try {
      await file.write([Buffer.alloc(ROOM_BYTES)], 0);
      // Some file systems allocate only here.
      await file.sync();
    } finally {
      await file.close();
    }
    return undefined;
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    return asError(error);
  } finally {
    await removeFiles(disk, [path]);
  }
}
