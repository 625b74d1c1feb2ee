import type { Disk } from '@evertree/core';
import { isMissing } from '../groups/failure.ts';

/** Removes files. A file that does not exist is no error. */
export async function removeFiles(disk: Disk, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      await disk.remove(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}
