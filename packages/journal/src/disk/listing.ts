import type { Disk } from '@evertree/core';
import { isMissing } from '../groups/failure.ts';

/** The names in a directory, in their order; none if the directory does not exist. */
export async function listDirectory(disk: Disk, directory: string): Promise<string[]> {
  try {
    return (await disk.list(directory)).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
