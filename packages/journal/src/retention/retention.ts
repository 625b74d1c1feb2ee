import type { Epoch, ExactPosition, HeldHistory } from '@evertree/core';
import { forkOf } from '@evertree/core';
import type { NamedLease } from '../leases/lease-table.ts';

export interface RetentionOptions {
  /** Bytes that segments and snapshots may take together. What the site needs to recover is kept even beyond it. */
  readonly maxBytes: number;
  /** Bytes of the newest history that are kept even if no lease asks for them. */
  readonly minBytes: number;
  /** Younger history is kept even if no lease asks for it; milliseconds. */
  readonly minMs: number;
  /** Younger history is kept while there is room, and older history goes unless a lease asks for it; milliseconds. */
  readonly maxMs: number;
  /** As `maxMs`, by the count of the newest commits. */
  readonly maxCommits: number;
  /** The site can go back to all positions that are younger; milliseconds. It yields before `maxBytes` is near. */
  readonly rewindMs: number;
}

export interface RetainedSegment {
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  /** Commit time of its newest change set. */
  readonly lastTime: number;
  readonly bytes: number;
}

export interface RetainedSnapshot {
  readonly position: ExactPosition;
  /** The table of epochs up to the position. */
  readonly epochs: readonly Epoch[];
  /** Commit time of the position, milliseconds since 1970. */
  readonly time: number;
  readonly bytes: number;
  /** When a newer snapshot was made, milliseconds since 1970; undefined for the newest. */
  readonly supersededMs: number | undefined;
}

export interface RetentionSubject {
  /** Oldest first; the last one takes new frames. */
  readonly segments: readonly RetainedSegment[];
  /** Oldest first. */
  readonly snapshots: readonly RetainedSnapshot[];
  readonly leases: readonly NamedLease[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface RetentionPlan {
  /** How many of the oldest segments and snapshots go. */
  readonly segments: number;
  readonly snapshots: number;
  /** What stays although it is beyond the limits, and for whom; the one furthest behind first. */
  readonly held: readonly HeldHistory[];
  /** Bytes of history that stay only because there is room. */
  readonly spareBytes: number;
  /** Leases that ask for frames that go, the one furthest behind first. A peer among them needs a full copy. */
  readonly passed: readonly NamedLease[];
  /** Whether what is needed takes more than `RETENTION_NEAR_FRACTION` of what it may. */
  readonly isNear: boolean;
  /** Leases that the next run may pass, the one furthest behind first. Empty unless `isNear`. */
  readonly atRisk: readonly NamedLease[];
  /** The next run may drop frames before this revision: a lease that holds less is at risk while `isNear`. */
  readonly riskBelow: number;
}

/**
 * A superseded snapshot is kept this long. A tool that copies the directory file by file may have listed it, and opens
 * it later. In the copy it may be the only beginning.
 */
export const SNAPSHOT_GRACE_MS = 60_000;

/** Snapshots and segments divide a limit of age or count into so many steps, in which the oldest history goes. */
export const LIMIT_STEPS = 4;

/** The rate at which the history grows is that of so many milliseconds, or of all if it is younger. */
const RATE_MS = 3_600_000;

/** Above this part of `maxBytes` the history is near its limit, and the leases at risk are reported. */
export const RETENTION_NEAR_FRACTION = 0.8;

/**
 * Decides which part of the history goes.
 *
 * 1. All before the anchor goes, unless `minBytes` or `minMs` keep it. The anchor is the newest snapshot that is not
 *    after the lowest position of a lease, and not after the snapshot that was the newest `rewindMs` ago.
 * 2. If the rest takes more than `maxBytes`, older snapshots go next, and then the oldest frames, even if a lease asks
 *    for them. A copy under way needs its snapshot as well as the frames after it.
 * 3. The newest snapshot and all frames after it stay in any case: the site recovers from them.
 * 4. If there is room left, older history stays, from a snapshot on that is within `maxMs` and `maxCommits`.
 * @param subject without expired leases
 */
export function planRetention(subject: RetentionSubject, options: RetentionOptions): RetentionPlan {
  const { segments, snapshots } = subject;
  const oldest = segments[0]?.base.revision ?? 0;
  const newest = snapshots.at(-1);
  if (newest === undefined) {
    const isNear = bytesOf(segments) > options.maxBytes * RETENTION_NEAR_FRACTION;
    // The first snapshot will let the frames before it go.
    const riskBelow = lastOf(segments);
    const atRisk = isNear ? behind(subject, oldest, riskBelow) : [];
    return { segments: 0, snapshots: 0, held: [], spareBytes: 0, passed: [], isNear, atRisk, riskBelow };
  }
  // Whole segments only, and never the one that takes new frames.
  const droppable = countUpTo(segments.slice(0, -1), newest.position.revision);
  const from = (rewindMs: number) => Math.min(droppable, wantedFrom(subject, { ...options, rewindMs }));
  let first = from(options.rewindMs);
  let snapshot = snapshotsBefore(subject, first);
  const left = () => bytesOf(segments.slice(first)) + bytesOf(snapshots.slice(snapshot));
  if (left() > options.maxBytes * RETENTION_NEAR_FRACTION) {
    first = from(0);
    snapshot = snapshotsBefore(subject, first);
  }
  while (left() > options.maxBytes && snapshot < snapshots.length - 1) snapshot++;
  while (left() > options.maxBytes && first < droppable) first++;
  const isNear = left() > options.maxBytes * RETENTION_NEAR_FRACTION;
  const needed = left();
  const kept = keptFrom(subject, options);
  const free = Math.min(droppable, wantedFrom({ ...subject, leases: [] }, options), kept);
  const held = heldHistory(subject, first, free);
  if (kept < first) {
    first = kept;
    snapshot = Math.min(snapshot, snapshotsBefore(subject, first));
  }
  const base = segments[first]?.base.revision ?? 0;
  const riskBelow = newest.position.revision;
  return {
    segments: first,
    snapshots: snapshot,
    held,
    spareBytes: left() - needed,
    passed: [...new Set([...behind(subject, oldest, base), ...brokenCopies(subject, base, snapshot)])],
    isNear,
    atRisk: isNear ? behind(subject, base, riskBelow) : [],
    riskBelow,
  };
}

/** Index of the oldest segment that a lease, `rewindMs`, `minBytes` or `minMs` asks for. */
function wantedFrom(subject: RetentionSubject, options: RetentionOptions): number {
  const { segments, snapshots, leases, now } = subject;
  const held = leases.map(lease => heldRevision(lease, snapshots)).filter(hasHistory);
  const lowest = Math.min(...held, options.rewindMs > 0 ? heldBefore(subject, now - options.rewindMs) : Infinity);
  const anchor = snapshots.findLast(snapshot => snapshot.position.revision <= lowest);
  let wanted = anchor === undefined ? 0 : countUpTo(segments, anchor.position.revision);
  const young = segments.findIndex(segment => segment.lastTime > now - options.minMs);
  if (options.minMs > 0 && young >= 0) wanted = Math.min(wanted, young);
  let recent = segments.length;
  for (let bytes = 0; recent > 0 && bytes < options.minBytes; recent--) bytes += segments[recent - 1]!.bytes;
  return Math.min(wanted, recent);
}

/**
 * Copies that lose what they begin with: the snapshot before their position, or frames between the two.
 * @param base where the frames begin that stay
 * @param dropped how many of the oldest snapshots go
 */
function brokenCopies({ leases, snapshots }: RetentionSubject, base: number, dropped: number): NamedLease[] {
  if (base === 0) return [];
  return leases.filter(lease => {
    const held = lease.kind === 'copy' ? heldRevision(lease, snapshots) : 0;
    if (!hasHistory(held)) return false;
    const beginning = snapshots.findLastIndex(snapshot => snapshot.position.revision <= held);
    return beginning < dropped || snapshots[beginning]!.position.revision < base;
  });
}

/**
 * The revision from which all positions are reached that were committed after `time`: that of a snapshot, or the origin
 * if the history begins there.
 */
function heldBefore({ segments, snapshots }: RetentionSubject, time: number): number {
  const old = snapshots.findLast(snapshot => snapshot.time <= time);
  return old?.position.revision ?? (segments[0]?.base.revision === 0 ? 0 : (snapshots[0]?.position.revision ?? Infinity));
}

/**
 * Index of the oldest segment of the history that stays because there is room: from the oldest snapshot, or from the
 * origin, so that all of it together takes no more than `maxBytes` and is within `maxMs` and `maxCommits`. Infinity if
 * there is none.
 */
function keptFrom(subject: RetentionSubject, { maxBytes, maxMs, maxCommits }: RetentionOptions): number {
  const { segments, snapshots, now } = subject;
  if (maxMs === 0 || maxCommits === 0) return Infinity;
  const lowest = lastOf(segments) - maxCommits;
  const oldest = Math.max(
    heldBefore(subject, now - maxMs),
    snapshots.findLast(({ position }) => position.revision <= lowest)?.position.revision ?? 0,
  );
  const beginnings = [...(segments[0]?.base.revision === 0 ? [0] : []), ...snapshots.map(({ position }) => position.revision)];
  for (const revision of beginnings) {
    if (revision < oldest) continue;
    const first = countUpTo(segments, revision);
    const bytes = bytesOf(segments.slice(first)) + bytesOf(snapshots.slice(snapshotsBefore(subject, first)));
    if (bytes <= maxBytes) return first;
  }
  return Infinity;
}

/** What leases keep of the segments from index `first` to `free`, which nothing else asks for. */
function heldHistory(subject: RetentionSubject, first: number, free: number): HeldHistory[] {
  const { segments, snapshots, leases } = subject;
  const holders = leases
    .map(lease => ({ lease, held: heldRevision(lease, snapshots) }))
    .filter(({ held }) => hasHistory(held))
    .map(({ lease, held }) => {
      const anchor = snapshots.findLast(snapshot => snapshot.position.revision <= held);
      return { lease, held, from: anchor === undefined ? 0 : countUpTo(segments, anchor.position.revision) };
    });
  return holders
    .filter(({ from }) => from >= first && from < free)
    .toSorted((a, b) => a.held - b.held)
    .map(({ lease: { kind, name, position }, from }) => ({ kind, name, position, bytes: bytesOf(segments.slice(from, free)) }));
}

/** The holder of a lease without any of this history needs a full copy in any case. */
function hasHistory(revision: number): boolean {
  return revision > 0;
}

/**
 * The revision up to which the holder of a lease has this history: up to the fork, if its position is of another
 * history.
 *
 * The table of epochs of the newest snapshot is enough to tell. If that does not know the epoch, the result is 0:
 * nothing is kept for the lease. Either no history here has the epoch; or it began after that snapshot, and all frames
 * after the snapshot stay anyway.
 */
function heldRevision({ position }: NamedLease, snapshots: readonly RetainedSnapshot[]): number {
  const newest = snapshots.at(-1);
  if (newest === undefined) return position.revision;
  const { epochs } = newest;
  return forkOf({ epochs, last: newest.position }, { epochs, last: position }).revision;
}

/** How many of the oldest segments end at or before `revision`. */
function countUpTo(segments: readonly RetainedSegment[], revision: number): number {
  const index = segments.findIndex(segment => segment.last.revision > revision);
  return index < 0 ? segments.length : index;
}

/**
 * How many of the oldest snapshots are before all segments from `first` on, and were superseded long enough ago. The
 * newest is never one of them.
 */
function snapshotsBefore(subject: RetentionSubject, first: number): number {
  const base = subject.segments[first]?.base.revision ?? Infinity;
  const graceBegan = subject.now - SNAPSHOT_GRACE_MS;
  const older = subject.snapshots.slice(0, -1);
  const index = older.findIndex(snapshot => snapshot.position.revision >= base || (snapshot.supersededMs ?? Infinity) > graceBegan);
  return index < 0 ? older.length : index;
}

/** How a history grew. */
export interface Growth {
  /** Oldest first; each with the bytes of its frames. */
  readonly segments: readonly { readonly lastTime: number; readonly bytes: number }[];
  /** Commit time of the first change set; undefined if it is not known. */
  readonly since: number | undefined;
}

/**
 * In how many milliseconds a history has grown by `roomBytes` if it goes on as lately; undefined if it does not grow, or
 * is too young to tell.
 */
export function fullIn({ segments, since }: Growth, now: number, roomBytes: number): number | undefined {
  let bytes = 0;
  for (let index = segments.length - 1; index >= 0; index--) {
    bytes += segments[index]!.bytes;
    const began = segments[index - 1]?.lastTime ?? since ?? now;
    if (index > 0 && now - began < RATE_MS) continue;
    return now > began && bytes > 0 ? Math.max(0, Math.round((roomBytes / bytes) * (now - began))) : undefined;
  }
  return undefined;
}

/** Leases whose next frame is at or after `from` and before `to`; the one furthest behind is the first. */
export function behind({ leases, snapshots }: Pick<RetentionSubject, 'leases' | 'snapshots'>, from: number, to: number): NamedLease[] {
  return leases
    .map(lease => ({ lease, held: heldRevision(lease, snapshots) }))
    .filter(({ held }) => hasHistory(held) && held >= from && held < to)
    .toSorted((a, b) => a.held - b.held)
    .map(({ lease }) => lease);
}

function lastOf(segments: readonly RetainedSegment[]): number {
  return segments.at(-1)?.last.revision ?? 0;
}

function bytesOf(items: readonly { readonly bytes: number }[]): number {
  return items.reduce((sum, item) => sum + item.bytes, 0);
}
