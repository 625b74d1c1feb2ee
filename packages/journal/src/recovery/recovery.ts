import type { Disk, DiskFile, Reporter } from '@evertree/core';
import { EvertreeError, formatPosition } from '@evertree/core';
import { ActiveSegment } from '../segments/active-segment.ts';
import { damaged } from '../groups/failure.ts';
import type { HistoryStart } from '../segments/history.ts';
import type { Choice } from './history-choice.ts';
import { chooseHistory } from './history-choice.ts';
import {
  DETACHED_DIRECTORY,
  firstRevision,
  isSegmentName,
  isSnapshotName,
  SEGMENT_DIRECTORY,
  SNAPSHOT_DIRECTORY,
  TEMPORARY_SUFFIX,
} from '../site/layout.ts';
import type { SegmentHeader } from '../segments/segment-format.ts';
import type { FoundSegment } from '../segments/segment-scan.ts';
import { cutSegment, inspectSegment } from '../segments/segment-scan.ts';
import type { SnapshotFile } from '../snapshots/snapshot-file.ts';
import { inspectSnapshot } from '../snapshots/snapshot-file.ts';

/** What a site's directory holds: what is read to decide, before anything is changed. */
export interface Findings {
  readonly choice: Choice;
  /** Sound ones that belong to the choice, oldest first. */
  readonly snapshots: readonly SnapshotFile[];
  /** Files that count for nothing any more. */
  readonly leftovers: readonly string[];
  /** Files that hold something, but nothing that can be reached. */
  readonly unreachable: readonly string[];
  /** Snapshots that are not what they were. Each is one way to begin less, and no more as long as there is another. */
  readonly unsound: readonly string[];
}

/**
 * Reads what is there and decides what the history is. Changes nothing.
 * @param isCopy the directory was copied, perhaps while it was written to: what is missing then is no damage
 * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED
 */
export async function survey(disk: Disk, isCopy: boolean): Promise<Findings> {
  const segmentNames = await list(disk, SEGMENT_DIRECTORY);
  const snapshotNames = await list(disk, SNAPSHOT_DIRECTORY);
  const leftovers = [...segmentNames, ...snapshotNames].filter(path => path.endsWith(TEMPORARY_SUFFIX));
  const unreachable: string[] = [];
  const unsound: string[] = [];
  const snapshots: SnapshotFile[] = [];
  for (const path of snapshotNames.filter(candidate => isSnapshotName(fileName(candidate)))) {
    const snapshot = await inspectSnapshot(disk, path);
    if (snapshot === undefined) unsound.push(path);
    else snapshots.push(snapshot);
  }
  const paths = segmentNames.filter(candidate => isSegmentName(fileName(candidate)));
  const segments = await inspectSegments(disk, paths.toSorted(byRevision), isCopy, leftovers);
  const reached = await chooseHistory(disk, segments, snapshots);
  if (reached === undefined) {
    const { path, header } = segments[0]!.segment;
    const problem = `the history begins at ${formatPosition(header.base)}, and no snapshot is there to begin from`;
    throw damaged(path, 0, isCopy ? `${problem} (the original removed it while this copy was made: copy it again)` : problem);
  }
  const choice = withoutEmptyEnd(reached);
  if (!isCopy) assertWhole(segments.filter(found => found.segment.header.generation === choice.generation));
  for (const found of segments) sortOut(found, choice, leftovers, unreachable);
  const kept = snapshots.filter(snapshot => isWithin(snapshot, choice));
  for (const snapshot of snapshots) if (!kept.includes(snapshot)) leftovers.push(snapshot.path);
  return { choice, snapshots: kept, leftovers, unreachable, unsound };
}

/** Looks at all segments, the newest first: each tells where the one before it has to end. */
async function inspectSegments(disk: Disk, paths: readonly string[], isCopy: boolean, leftovers: string[]): Promise<FoundSegment[]> {
  const segments: FoundSegment[] = [];
  const nextIn = (generation: number) => segments.find(found => found.segment.header.generation === generation);
  for (const path of paths.toReversed()) {
    const stopAt = (header: SegmentHeader) => {
      const next = nextIn(header.generation);
      return next === undefined || isEmpty(next) ? undefined : next.segment.header.base;
    };
    const found = await inspectSegment(disk, path, { trustSeal: !isCopy, stopAt });
    if (found === undefined) {
      // Its header was durable before it had this name, and it had this name before there was a later one.
      if (segments.length > 0 && !isCopy) throw damaged(path, 0, 'it holds no header');
      leftovers.push(path);
      continue;
    }
    if (found === 'damaged') throw damaged(path, 0, 'its header is not sound, but records are there');
    const { header, last } = found.segment;
    if (header.base.revision + 1 !== firstRevision(path)) throw damaged(path, 0, 'its name and its header contradict each other');
    const next = nextIn(header.generation);
    if (next !== undefined && isEmpty(next) && last.revision > next.segment.header.base.revision) {
      // Made in vain: a commit that could not wait went on in the segment before it.
      leftovers.push(next.segment.path);
      segments.splice(segments.indexOf(next), 1);
    }
    segments.unshift(found);
  }
  return segments;
}

/** The next segment is named by its first change set, and which that is was not decided if there is none. */
function withoutEmptyEnd(choice: Choice): Choice {
  const newest = choice.segments.at(-1);
  return newest !== undefined && isEmpty(newest) ? { ...choice, segments: choice.segments.slice(0, -1) } : choice;
}

/** Refuses what is missing though it was stable once. @param segments of one generation, oldest first */
function assertWhole(segments: readonly FoundSegment[]): void {
  for (const [index, found] of segments.entries()) {
    const { segment, rest, sealed } = found;
    if (rest === 'damaged') throw damaged(segment.path, segment.end, 'no sound record is there, but later ones are');
    const next = segments[index + 1];
    // Everything before the next segment was stable when that was made.
    if (next === undefined || sealed || endsAt(found, next)) continue;
    throw damaged(segment.path, segment.end, `no sound record is there, but ${next.segment.path} goes on later`);
  }
}

function sortOut(found: FoundSegment, choice: Choice, leftovers: string[], unreachable: string[]): void {
  if (choice.segments.includes(found)) return;
  const { header, last, path } = found.segment;
  const isBehind = header.generation < choice.generation || last.revision <= choice.last.revision;
  (isBehind ? leftovers : unreachable).push(path);
}

function isWithin(snapshot: SnapshotFile, choice: Choice): boolean {
  const { revision } = snapshot.header.position;
  return snapshot.generation === choice.generation && revision >= choice.base.revision && revision <= choice.last.revision;
}

/** Makes the directory hold what was decided, and nothing else; durable when it resolves. Each step can be repeated. */
export async function restore(disk: Disk, findings: Findings, report: Reporter): Promise<HistoryStart> {
  const { choice, leftovers, unreachable, unsound } = findings;
  if (unreachable.length + unsound.length > 0) await detach(disk, [...unreachable, ...unsound]);
  reportDetached(findings, report);
  for (const path of leftovers) await disk.remove(path);
  for (const found of choice.segments) await mend(disk, found, found === choice.segments.at(-1), report);
  await disk.syncDirectory(SEGMENT_DIRECTORY);
  await disk.syncDirectory(SNAPSHOT_DIRECTORY);
  const newest = choice.segments.at(-1);
  return {
    base: choice.base,
    generation: choice.generation,
    segments: choice.segments.map(found => found.segment),
    continues: newest !== undefined && !newest.sealed,
  };
}

async function detach(disk: Disk, paths: readonly string[]): Promise<void> {
  await disk.makeDirectory(DETACHED_DIRECTORY);
  for (const path of paths) await disk.rename(path, `${DETACHED_DIRECTORY}/${fileName(path)}`);
  await disk.syncDirectory(DETACHED_DIRECTORY);
  await disk.syncDirectory('');
}

function reportDetached(findings: Findings, report: Reporter): void {
  const { choice, unreachable, unsound } = findings;
  const ending = `was moved to ${DETACHED_DIRECTORY}/`;
  if (unreachable.length > 0) {
    const message = `the history ends at ${formatPosition(choice.last)}; what can't be reached from there ${ending}: ${unreachable.join(', ')}`;
    report({ level: 'warn', event: 'history-gap', message, details: { last: choice.last, files: unreachable } });
  }
  for (const file of unsound) {
    report({ level: 'warn', event: 'snapshot-unsound', message: `${file} is no sound snapshot and ${ending}`, details: { file } });
  }
}

/** Cuts a torn tail, and seals what a crash left unsealed. What the page cache alone may hold becomes durable. */
async function mend(disk: Disk, found: FoundSegment, isNewest: boolean, report: Reporter): Promise<void> {
  if (found.sealed) return;
  const { segment, rest } = found;
  const file = await disk.open(segment.path, { write: true });
  if (!isNewest) {
    await new ActiveSegment(segment, file, { mode: 'fdatasync', limitBytes: 0, failed: rethrow }).seal();
    return;
  }
  try {
    await file.sync();
    if (rest !== 'nothing') await cut(file, found, report);
  } finally {
    await file.close();
  }
}

async function cut(file: DiskFile, found: FoundSegment, report: Reporter): Promise<void> {
  const { segment, rest } = found;
  const bytes = await cutSegment(file, segment);
  const reason = rest === 'torn' ? 'a write that never ended' : 'what this copy lacks something before';
  report({
    level: 'warn',
    event: 'tail-cut',
    message: `cut ${bytes} bytes off ${segment.path} at offset ${segment.end}: ${reason}`,
    details: { file: segment.path, offset: segment.end, bytes, last: segment.last },
  });
}

function rethrow(error: unknown): never {
  throw error;
}

async function list(disk: Disk, directory: string): Promise<string[]> {
  return (await disk.list(directory)).toSorted().map(name => `${directory}/${name}`);
}

function byRevision(a: string, b: string): number {
  return firstRevision(a) - firstRevision(b);
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isEmpty(found: FoundSegment): boolean {
  return found.segment.last.revision === found.segment.header.base.revision;
}

function endsAt(found: FoundSegment, next: FoundSegment): boolean {
  const { last } = found.segment;
  const { base } = next.segment.header;
  return last.revision === base.revision && last.epochId === base.epochId;
}

/** Files without the site.json that says whose they are. */
export function assertNoOrphans(findings: Findings): void {
  const file = findings.choice.segments[0]?.segment.path ?? findings.snapshots[0]?.path;
  if (file === undefined) return;
  throw new EvertreeError('DAMAGED', `site.json is missing, but ${file} is there; restore it from a backup`, {
    file: 'site.json',
    offset: 0,
  });
}
