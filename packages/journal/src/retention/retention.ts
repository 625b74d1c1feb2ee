import type { Epoch, ExactPosition } from '@evertree/core';
import { forkOf } from '@evertree/core';
import type { NamedLease } from '../leases/lease-table.ts';

export interface RetentionOptions {
  /** Bytes that segments and snapshots together may take, but for what the site itself recovers from. */
  readonly maxBytes: number;
  /** This much of the newest history is kept, whether a peer needs it or not. */
  readonly minBytes: number;
  /** History that is younger is kept, whether a peer needs it or not; milliseconds. */
  readonly minMs: number;
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
  readonly bytes: number;
  /** When there was a newer one, milliseconds since 1970; undefined for the newest. */
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
  /** Leases that the frames that go would have served, the one furthest behind first. A peer among them needs a full copy. */
  readonly passed: readonly NamedLease[];
  /** Whether what stays takes more than `RETENTION_NEAR_FRACTION` of what it may. */
  readonly isNear: boolean;
  /** Leases that are next, the one furthest behind first. Only filled in while `isNear`. */
  readonly atRisk: readonly NamedLease[];
  /** What may go next: a lease that holds less than this revision is at risk while `isNear`. */
  readonly riskBelow: number;
}

/**
 * A snapshot outlives its use by this: a tool that copies the directory file by file has listed it, and opens it now. Alone it is still
 * a beginning.
 */
export const SNAPSHOT_GRACE_MS = 60_000;

/** From this part of `maxBytes` on, the leases that hold the history back are told. */
export const RETENTION_NEAR_FRACTION = 0.8;

/**
 * What of the history goes: all before the newest snapshot at or before the lowest position that a lease holds, unless it is young
 * enough or recent enough to be kept anyway. What is then still more than it may be goes, the oldest first, snapshots before the frames
 * that a lease asks for. The newest snapshot and all that follows it always stay: the site itself recovers from them.
 * @param subject its leases are those that have not expired
 */
export function planRetention(subject: RetentionSubject, options: RetentionOptions): RetentionPlan {
  const { segments, snapshots } = subject;
  const oldest = segments[0]?.base.revision ?? 0;
  const newest = snapshots.at(-1);
  if (newest === undefined) {
    const isNear = bytesOf(segments) > options.maxBytes * RETENTION_NEAR_FRACTION;
    // The first snapshot lets go what they need.
    const riskBelow = lastOf(segments);
    return { segments: 0, snapshots: 0, passed: [], isNear, atRisk: isNear ? behind(subject, oldest, riskBelow) : [], riskBelow };
  }
  // Whole segments only, and never the one that takes new frames.
  const droppable = countUpTo(segments.slice(0, -1), newest.position.revision);
  let first = Math.min(droppable, wantedFrom(subject, options));
  let snapshot = Math.min(snapshotsBefore(subject, first), snapshots.length - 1);
  const left = () => bytesOf(segments.slice(first)) + bytesOf(snapshots.slice(snapshot));
  while (left() > options.maxBytes && snapshot < snapshots.length - 1) snapshot++;
  while (left() > options.maxBytes && first < droppable) first++;
  const base = segments[first]?.base.revision ?? 0;
  const isNear = left() > options.maxBytes * RETENTION_NEAR_FRACTION;
  const riskBelow = newest.position.revision;
  return {
    segments: first,
    snapshots: snapshot,
    passed: behind(subject, oldest, base),
    isNear,
    atRisk: isNear ? behind(subject, base, riskBelow) : [],
    riskBelow,
  };
}

/** Index of the oldest segment that a lease or the bounds of the history ask for. */
function wantedFrom(subject: RetentionSubject, options: RetentionOptions): number {
  const { segments, snapshots, leases, now } = subject;
  const lowest = Math.min(...leases.map(lease => heldRevision(lease, snapshots)).filter(hasHistory), Infinity);
  const anchor = snapshots.findLast(snapshot => snapshot.position.revision <= lowest);
  let wanted = anchor === undefined ? 0 : countUpTo(segments, anchor.position.revision);
  const young = segments.findIndex(segment => segment.lastTime > now - options.minMs);
  if (options.minMs > 0 && young >= 0) wanted = Math.min(wanted, young);
  let recent = segments.length;
  for (let bytes = 0; recent > 0 && bytes < options.minBytes; recent--) bytes += segments[recent - 1]!.bytes;
  return Math.min(wanted, recent);
}

/** A holder that has nothing of this history begins with a copy anyway. */
function hasHistory(revision: number): boolean {
  return revision > 0;
}

/**
 * Up to where a lease's position lies in this history, as far as retention has to know: up to the fork of the two, if it is of another
 * one; 0 if it asks for nothing that may go. That is so for an epoch that nobody here knows, and for one that began after the newest
 * snapshot, since all that follows that snapshot stays. So the table of epochs of that snapshot is enough.
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

/** How many of the oldest snapshots lie before the segments from `first` on, so that nothing stored follows them, and for long enough. */
function snapshotsBefore(subject: RetentionSubject, first: number): number {
  const base = subject.segments[first]?.base.revision ?? Infinity;
  const graceBegan = subject.now - SNAPSHOT_GRACE_MS;
  const index = subject.snapshots.findIndex(
    snapshot => snapshot.position.revision >= base || (snapshot.supersededMs ?? Infinity) > graceBegan,
  );
  return index < 0 ? subject.snapshots.length : index;
}

/** Leases whose next frame is at or after `from` and before `to`, the one furthest behind first. */
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
