import type { Disk } from '@evertree/core';
import { isMissing } from '@evertree/journal/files';
import { INDEX_DIRECTORY } from '../index/run-format.ts';
import { proveIndex } from '../index/run-proof.ts';
import type { DamageList } from './damage.ts';
import type { ListedDirectory } from './directory-listing.ts';
import { type FollowedHistory, hasGone } from './followed-history.ts';

/** A site merges and drops runs while it works: then the index is read again, so many times. */
const ATTEMPTS = 3;

/**
 * Compares the index of a directory with its frames, touch by touch. A damaged history can't prove its index.
 * @param options `checksumsOnly`: the blocks' checksums only
 * @returns how many runs were checked
 */
export async function checkIndex(
  disk: Disk,
  directory: ListedDirectory,
  history: FollowedHistory,
  list: DamageList,
  options: { readonly checksumsOnly: boolean },
): Promise<number> {
  if (list.count > 0) return 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const found = await compareOnce(disk, directory, history, options);
    if (found === undefined) continue;
    for (const { file, problem } of found) {
      if (problem !== undefined) list.damage(file, 0, `${problem}; it is derived, and the site makes it anew`);
    }
    return found.length;
  }
  list.remark(INDEX_DIRECTORY, 'the site changed the index while this was reading; it was not compared');
  return 0;
}

/** @returns undefined if files went meanwhile */
async function compareOnce(
  disk: Disk,
  { segments }: ListedDirectory,
  { base, last }: FollowedHistory,
  options: { readonly checksumsOnly: boolean },
) {
  const found: { readonly file: string; readonly problem: string | undefined }[] = [];
  try {
    for await (const { file, problem } of proveIndex(disk, { base, last }, options)) {
      if (problem !== undefined && ((await hasGone(disk, file)) || (await hasAnyGone(disk, segments)))) return undefined;
      found.push({ file, problem });
    }
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  return found;
}

async function hasAnyGone(disk: Disk, segments: ListedDirectory['segments']): Promise<boolean> {
  for (const { path } of segments) if (await hasGone(disk, path)) return true;
  return false;
}
