import type { Disk } from '@evertree/core';
import { isMissing, TEMPORARY_SUFFIX } from '@evertree/journal/files';
import type { RunDescription } from './run-format.ts';
import { INDEX_DIRECTORY, isRunName, UnsoundRun } from './run-format.ts';
import { RunFile } from './run-file.ts';

/** A run that is there. */
export interface StoredRun {
  readonly path: string;
  readonly description: RunDescription;
}

/** What `index/` holds. */
export interface RunListing {
  /** Ascending, and none overlaps another. */
  readonly runs: readonly StoredRun[];
  /** Files that are of no use: unfinished ones, and runs that were merged into another one. */
  readonly leftovers: readonly string[];
  readonly unsound: readonly UnsoundRun[];
}

/** Lists the runs that are there, as far as their ends are sound. */
export async function listRuns(disk: Pick<Disk, 'list' | 'open'>): Promise<RunListing> {
  const found: StoredRun[] = [];
  const leftovers: string[] = [];
  const unsound: UnsoundRun[] = [];
  for (const name of await namesOf(disk)) {
    const path = `${INDEX_DIRECTORY}/${name}`;
    if (name.endsWith(TEMPORARY_SUFFIX)) leftovers.push(path);
    if (!isRunName(name)) continue;
    try {
      found.push(await describeRun(disk, path));
    } catch (error) {
      if (error instanceof UnsoundRun) unsound.push(error);
      else if (!isMissing(error)) throw error;
    }
  }
  // Of runs that overlap, the one that reaches furthest stays: a death left what it was merged from.
  const runs: StoredRun[] = [];
  for (const run of found.toSorted((a, b) => from(a) - from(b) || to(b) - to(a))) {
    const before = runs.at(-1);
    if (before === undefined || from(run) >= to(before)) runs.push(run);
    else leftovers.push(run.path);
  }
  return { runs, leftovers, unsound };
}

/** @throws UnsoundRun */
export async function describeRun(disk: Pick<Disk, 'open'>, path: string): Promise<StoredRun> {
  const run = await RunFile.open(disk, path);
  await run.retire();
  return { path, description: run.description };
}

export function from({ description }: StoredRun): number {
  return description.base.revision;
}

export function to({ description }: StoredRun): number {
  return description.last.revision;
}

/** Of runs in order, the longest stretch in which each goes on where the one before ends. */
export function longestStretch(runs: readonly RunFile[]): readonly RunFile[] {
  let longest: readonly RunFile[] = [];
  let stretch: RunFile[] = [];
  for (const run of runs) {
    const before = stretch.at(-1)?.description.last;
    const { base } = run.description;
    if (before !== undefined && (before.revision !== base.revision || before.epochId !== base.epochId)) stretch = [];
    stretch = [...stretch, run];
    if (lengthOf(stretch) >= lengthOf(longest)) longest = stretch;
  }
  return longest;
}

/** How many change sets a stretch of runs covers. */
export function lengthOf(runs: readonly RunFile[]): number {
  return runs.length === 0 ? 0 : runs.at(-1)!.upTo - runs[0]!.after;
}

/** There is no such directory until the first run is made. */
async function namesOf(disk: Pick<Disk, 'list'>): Promise<string[]> {
  try {
    return await disk.list(INDEX_DIRECTORY);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
