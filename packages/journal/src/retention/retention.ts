import type { Epoch, ExactPosition } from '@evertree/core';
import { forkOf } from '@evertree/core';
import type { NamedLease } from '../leases/lease-table.ts';

export interface RetentionOptions {
  /** Bytes that segments and snapshots may take together. What the site needs to recover is kept even beyond it. */
  readonly maxBytes: number;
  /** Bytes of the newest history that are kept even if no lease asks for them. */
  readonly minBytes: number;
  /** Younger history is kept even if no lease asks for it; milliseconds. */
  readonly minMs: number;
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
  /** Leases that ask for frames that go, the one furthest behind first. A peer among them needs a full copy. */
  readonly passed: readonly NamedLease[];
  /** Whether what stays takes more than `RETENTION_NEAR_FRACTION` of what it may. */
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
    return { segments: 0, snapshots: 0, passed: [], isNear, atRisk: isNear ? behind(subject, oldest, riskBelow) : [], riskBelow };
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
  const base = segments[first]?.base.revision ?? 0;
  const isNear = left() > options.maxBytes * RETENTION_NEAR_FRACTION;
  const riskBelow = newest.position.revision;
  return {
    segments: first,
    snapshots: snapshot,
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
