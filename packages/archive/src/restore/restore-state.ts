import type { Disk, ExactPosition, Role } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { readUnfinished, writeUnfinished, type WrittenChunks } from '@evertree/journal/files';

/** What unfinished.json holds of a restore; FORMAT.md, «Unfinished directories». */
export interface RestoreState {
  /** The id of the archive, and of the line in it. */
  readonly archive: string;
  readonly line: string;
  /** What was asked for, as it was written; null for the newest state. It names the same position when the restore goes on. */
  readonly asked: string | null;
  readonly role: Role;
  /** Where the history ends that is restored. */
  readonly position: ExactPosition;
  /** Of the image with which it begins; null if it begins at the origin. */
  readonly image: ExactPosition | null;
  /** Parts of the image that are in its file, and what of the file that is. */
  readonly parts: number;
  readonly written?: WrittenChunks;
}

/** @throws EvertreeError UNFINISHED if other work is under way in the directory */
export async function readRestoreState(disk: Disk): Promise<RestoreState | undefined> {
  const found = await readUnfinished(disk);
  if (found === undefined) return undefined;
  if (found.work === 'restore') return found as unknown as RestoreState;
  throw new EvertreeError('UNFINISHED', `in this directory "evertree ${found.work}" did not end; name one that is empty or absent`);
}

export async function writeRestoreState(disk: Disk, state: RestoreState): Promise<void> {
  await writeUnfinished(disk, { work: 'restore', ...state });
}
