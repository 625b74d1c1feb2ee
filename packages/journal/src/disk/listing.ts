import type { Disk } from '@evertree/core';
import { isMissing } from '../groups/failure.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';

/** The names in a directory, in their order; none if the directory does not exist. */
export async function listDirectory(disk: Disk, directory: string): Promise<string[]> {
  try {
    return (await disk.list(directory)).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The segments, snapshots and unfinished files of a history that a directory holds. */
export async function listHistory(disk: Disk): Promise<string[]> {
  const files: string[] = [];
  for (const directory of [SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY]) {
    files.push(...(await listDirectory(disk, directory)).map(name => `${directory}/${name}`));
  }
  return files;
}
