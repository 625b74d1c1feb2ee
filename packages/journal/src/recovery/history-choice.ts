import type { Disk, ExactPosition } from '@evertree/core';
import { ORIGIN, samePosition } from '@evertree/core';
import { frameHolding } from '../segments/frame-search.ts';
import type { FoundSegment } from '../segments/segment-scan.ts';
import type { SnapshotFile } from '../snapshots/snapshot-file.ts';

/** Segments that follow each other without a hole. */
interface Run {
  readonly segments: readonly FoundSegment[];
  readonly base: ExactPosition;
  readonly last: ExactPosition;
}

/** The history with which a site goes on. */
export interface Choice {
  readonly generation: number;
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  /** Oldest first. */
  readonly segments: readonly FoundSegment[];
}

/**
 * Picks a history that has a beginning: a snapshot, or the origin of the stream. If there are several, it is the one
 * that reaches furthest.
 *
 * A directory that was only written by this program holds exactly one. A copy, or a directory with lost files, may have
 * holes. Then it is the history before the hole; or, if there is a snapshot behind the hole, that snapshot and the
 * frames after it.
 * @param segments in the order of their names
 * @returns undefined if there are files, but no beginning
 */
export async function chooseHistory(
  disk: Disk,
  segments: readonly FoundSegment[],
  snapshots: readonly SnapshotFile[],
): Promise<Choice | undefined> {
  const generations = new Set([
    ...segments.map(found => found.segment.header.generation),
    ...snapshots.map(snapshot => snapshot.generation),
  ]);
  if (generations.size === 0) return { generation: 0, base: ORIGIN, last: ORIGIN, segments: [] };
  // A snapshot that replaced the history began a generation. Files of a lower generation were void from then on.
  for (const generation of [...generations].toSorted((a, b) => b - a)) {
    const choice = await chooseWithin(
      disk,
      generation,
      findRuns(segments.filter(found => found.segment.header.generation === generation)),
      snapshots.filter(snapshot => snapshot.generation === generation),
    );
    if (choice !== undefined) return choice;
  }
  return undefined;
}

async function chooseWithin(
  disk: Disk,
  generation: number,
  runs: readonly Run[],
  snapshots: readonly SnapshotFile[],
): Promise<Choice | undefined> {
  let best: Choice | undefined;
  const consider = (base: ExactPosition, run: Run | undefined) => {
    const choice = { generation, base: run?.base ?? base, last: run?.last ?? base, segments: run?.segments ?? [] };
    if (best === undefined || choice.last.revision > best.last.revision) best = choice;
  };
  const first = runs.find(run => samePosition(run.base, ORIGIN));
  if (first !== undefined) consider(ORIGIN, first);
  const newestFirst = snapshots.toSorted((a, b) => b.header.position.revision - a.header.position.revision);
  for (const { header } of newestFirst) {
    const run = await runAround(disk, runs, header.position);
    consider(header.position, run);
    // Nothing reaches further than the newest run, or than a snapshot behind all runs.
    if (run === runs.at(-1)) break;
  }
  return best;
}

function findRuns(segments: readonly FoundSegment[]): Run[] {
  const runs: FoundSegment[][] = [];
  for (const found of segments) {
    const before = runs.at(-1)?.at(-1);
    if (before !== undefined && follows(before, found)) runs.at(-1)!.push(found);
    else runs.push([found]);
  }
  return runs.map(run => ({ segments: run, base: run[0]!.segment.header.base, last: run.at(-1)!.segment.last }));
}

function follows(before: FoundSegment, found: FoundSegment): boolean {
  const sameStream = before.segment.header.stream === found.segment.header.stream;
  return sameStream && samePosition(before.segment.last, found.segment.header.base);
}

/** The run that begins at `position`, or has a frame that ends there. */
async function runAround(disk: Disk, runs: readonly Run[], position: ExactPosition): Promise<Run | undefined> {
  for (const run of runs) {
    const { base, last } = run;
    if (samePosition(base, position) || samePosition(last, position)) return run;
    if (position.revision <= base.revision || position.revision >= last.revision) continue;
    const segments = run.segments.map(found => found.segment);
    const frame = await frameHolding(disk, segments, position.revision);
    if (frame !== undefined && samePosition(frame.header.last, position)) return run;
  }
  return undefined;
}
