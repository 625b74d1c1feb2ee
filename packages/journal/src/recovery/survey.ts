import type { Disk } from '@evertree/core';
import { EvertreeError, formatPosition } from '@evertree/core';
import { damaged } from '../groups/failure.ts';
import type { SegmentHeader } from '../segments/segment-format.ts';
import type { FoundSegment } from '../segments/segment-scan.ts';
import { inspectSegment } from '../segments/segment-scan.ts';
import {
  fileName,
  namedRevision,
  isSegmentName,
  isSnapshotName,
  SEGMENT_DIRECTORY,
  SNAPSHOT_DIRECTORY,
  TEMPORARY_SUFFIX,
} from '../site/layout.ts';
import type { SnapshotFile, UnsoundSnapshot } from '../snapshots/snapshot-file.ts';
import { inspectSnapshot } from '../snapshots/snapshot-file.ts';
import type { Choice } from './history-choice.ts';
import { chooseHistory } from './history-choice.ts';

/** What a site's directory holds. It is read and judged before anything is changed. */
export interface Findings {
  readonly choice: Choice;
  /** Sound ones that belong to the choice, oldest first. */
  readonly snapshots: readonly SnapshotFile[];
  /** Files under way, and files that a later file replaced. They are removed. */
  readonly leftovers: readonly string[];
  /** Segments that a hole separates from the history, on either side. They are moved to `detached/`. */
  readonly unreachable: readonly string[];
  /**
   * The newest segment, if no record in it is sound: a write that never ended, or lost bytes. It is moved to
   * `detached/`.
   */
  readonly withoutRecords: readonly FoundSegment[];
  /** Damaged snapshots that the history does not need. They are moved to `detached/`. */
  readonly unsound: readonly UnsoundSnapshot[];
}

/** What the segment files hold. */
interface Segments {
  /** Oldest first. */
  readonly found: FoundSegment[];
  readonly leftovers: string[];
  readonly unreachable: string[];
}

/**
 * Reads the directory and decides what the history is. Changes nothing.
 * @param isCopy the directory is a copy, which may have been made while the original was written to: missing bytes are
 *   no damage
 * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED
 */
export async function survey(disk: Disk, isCopy: boolean): Promise<Findings> {
  const segmentNames = await list(disk, SEGMENT_DIRECTORY);
  const snapshotNames = await list(disk, SNAPSHOT_DIRECTORY);
  const { sound, unsound } = await inspectSnapshots(disk, snapshotNames);
  const segments = await inspectSegments(disk, segmentNames, isCopy);
  const reached = await chooseHistory(disk, segments.found, sound);
  assertBeginning(reached, segments.found, unsound, isCopy);
  const { choice, withoutRecords } = withoutEmptyEnd(reached);
  if (!isCopy) assertWhole(segments.found.filter(found => found.segment.header.generation === choice.generation));
  const leftovers = [...segmentNames, ...snapshotNames].filter(path => path.endsWith(TEMPORARY_SUFFIX)).concat(segments.leftovers);
  const unreachable = [...segments.unreachable];
  for (const found of segments.found) {
    if (choice.segments.includes(found) || withoutRecords.includes(found)) continue;
    (found.segment.header.generation < choice.generation ? leftovers : unreachable).push(found.segment.path);
  }
  const snapshots = sound.filter(snapshot => isWithin(snapshot, choice));
  for (const snapshot of sound) if (!snapshots.includes(snapshot)) leftovers.push(snapshot.path);
  return { choice, snapshots, leftovers, unreachable, withoutRecords, unsound };
}

async function inspectSnapshots(disk: Disk, names: readonly string[]) {
  const sound: SnapshotFile[] = [];
  const unsound: UnsoundSnapshot[] = [];
  for (const path of names.filter(candidate => isSnapshotName(fileName(candidate)))) {
    const snapshot = await inspectSnapshot(disk, path);
    if ('header' in snapshot) sound.push(snapshot);
    else unsound.push(snapshot);
  }
  return { sound, unsound };
}

/** Inspects all segments, the newest first: each tells where the one before it has to end. */
async function inspectSegments(disk: Disk, names: readonly string[], isCopy: boolean): Promise<Segments> {
  const paths = names.filter(candidate => isSegmentName(fileName(candidate))).toSorted(byRevision);
  const segments: Segments = { found: [], leftovers: [], unreachable: [] };
  const nextIn = (generation: number) => segments.found.find(found => found.segment.header.generation === generation);
  const stopAt = (header: SegmentHeader) => {
    const next = nextIn(header.generation);
    return next === undefined || isEmpty(next) ? undefined : next.segment.header.base;
  };
  for (const path of paths.toReversed()) {
    const found = await inspectSegment(disk, path, { trustSeal: !isCopy, stopAt });
    if (found === undefined || found === 'damaged') {
      // A segment gets its name when its header is durable. Only a copying tool may have missed the header.
      if (!isCopy || found === 'damaged') throw headless(path, found);
      segments.unreachable.push(path);
      continue;
    }
    const { header, last } = found.segment;
    if (header.base.revision + 1 !== namedRevision(path)) throw damaged(path, 0, 'its name does not fit its header');
    const next = nextIn(header.generation);
    if (next !== undefined && isEmpty(next) && last.revision > next.segment.header.base.revision) {
      // Created in vain: a synchronous commit was written to the segment before it in the meantime.
      (next.rest === 'nothing' ? segments.leftovers : segments.unreachable).push(next.segment.path);
      segments.found.splice(segments.found.indexOf(next), 1);
    }
    segments.found.unshift(found);
  }
  return segments;
}

function headless(path: string, found: 'damaged' | undefined): EvertreeError {
  if (found === 'damaged') return damaged(path, 0, 'its header is damaged, but it has records');
  const remedy = ', or move the file elsewhere and go on without the commits that it held';
  return damaged(path, 0, 'its header is damaged, though it was durable before the file got its name', remedy);
}

/** @throws EvertreeError DAMAGED if the history has no beginning, with the file that it would have begun with */
function assertBeginning(
  reached: Choice | undefined,
  segments: readonly FoundSegment[],
  unsound: readonly UnsoundSnapshot[],
  isCopy: boolean,
): asserts reached is Choice {
  const newest = unsound.at(-1);
  // If there is no other file, the history began with the damaged snapshot.
  const isLost = reached === undefined || (newest !== undefined && segments.length === 0 && reached.last.revision === 0);
  if (!isLost) return;
  if (newest !== undefined) {
    throw damaged(newest.path, newest.offset, `${newest.problem}, and without this snapshot the history has no beginning`);
  }
  const { path, header } = segments[0]!.segment;
  const problem = `the history begins at ${formatPosition(header.base)}, and there is no snapshot to begin with`;
  throw damaged(path, 0, isCopy ? `${problem} (the original removed it while this copy was made: copy it again)` : problem);
}

/**
 * Leaves out a newest segment without records. A segment is named after its first change set, and that may get another
 * epoch now.
 */
function withoutEmptyEnd(choice: Choice): { readonly choice: Choice; readonly withoutRecords: readonly FoundSegment[] } {
  const newest = choice.segments.at(-1);
  if (newest === undefined || !isEmpty(newest)) return { choice, withoutRecords: [] };
  return { choice: { ...choice, segments: choice.segments.slice(0, -1) }, withoutRecords: [newest] };
}

/** Refuses a history that lacks bytes which were stable once. @param segments of one generation, oldest first */
function assertWhole(segments: readonly FoundSegment[]): void {
  for (const [index, found] of segments.entries()) {
    const { segment, rest, sealed } = found;
    if (rest === 'damaged') throw damaged(segment.path, segment.end, 'the record there is damaged, and sound ones follow');
    const next = segments[index + 1];
    // When a segment is created, all records before it are stable.
    if (next === undefined || sealed || endsAt(found, next)) continue;
    throw damaged(segment.path, segment.end, `its records end there, but ${next.segment.path} begins later`);
  }
}

function isWithin(snapshot: SnapshotFile, choice: Choice): boolean {
  const { revision } = snapshot.header.position;
  return snapshot.generation === choice.generation && revision >= choice.base.revision && revision <= choice.last.revision;
}

async function list(disk: Disk, directory: string): Promise<string[]> {
  return (await disk.list(directory)).toSorted().map(name => `${directory}/${name}`);
}

function byRevision(a: string, b: string): number {
  return namedRevision(a) - namedRevision(b);
}

function isEmpty(found: FoundSegment): boolean {
  return found.segment.last.revision === found.segment.header.base.revision;
}

function endsAt(found: FoundSegment, next: FoundSegment): boolean {
  const { last } = found.segment;
  const { base } = next.segment.header;
  return last.revision === base.revision && last.epochId === base.epochId;
}

/** @throws EvertreeError DAMAGED if there are files, but no site.json that tells whose they are */
export function assertNoOrphans(findings: Findings): void {
  const { choice, snapshots, withoutRecords } = findings;
  const file = choice.segments[0]?.segment.path ?? snapshots[0]?.path ?? withoutRecords[0]?.segment.path;
  if (file === undefined) return;
  throw new EvertreeError('DAMAGED', `site.json is missing, but ${file} is there; restore it from a backup`, {
    file: 'site.json',
    offset: 0,
  });
}
