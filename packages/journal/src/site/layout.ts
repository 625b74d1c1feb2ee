import type { Position } from '@evertree/core';

/** Where things lie in a site's directory; FORMAT.md, «Directory». */
export const SITE_FILE = 'site.json';
export const LEASES_FILE = 'leases.json';
/** What a directory of version 1 has instead of it. */
export const PEERS_FILE = 'peers.json';
/** What the history goes back to; only there while it does. */
export const REWIND_FILE = 'rewind.json';
export const LOCK_FILE = 'lock';
export const SEGMENT_DIRECTORY = 'journal';
export const SNAPSHOT_DIRECTORY = 'snapshots';
/** What recovery found behind a hole in the history: nothing reads it, and nothing throws it away. */
export const DETACHED_DIRECTORY = 'detached';
/** Files under way. None of them counts; recovery removes them. */
export const TEMPORARY_SUFFIX = '.tmp';

const SEGMENT_SUFFIX = '.evj';
const SNAPSHOT_SUFFIX = '.evs';

/** Epoch and revision in as many digits as they may have, so that the order of names is the order of history. */
function baseName(position: Position): string {
  return `${String(position.epoch).padStart(10, '0')}-${String(position.revision).padStart(16, '0')}`;
}

/** @param first the position of the segment's first change set */
export function segmentPath(first: Position): string {
  return `${SEGMENT_DIRECTORY}/${baseName(first)}${SEGMENT_SUFFIX}`;
}

export function snapshotPath(position: Position): string {
  return `${SNAPSHOT_DIRECTORY}/${baseName(position)}${SNAPSHOT_SUFFIX}`;
}

export function isSegmentName(name: string): boolean {
  return /^\d{10}-\d{16}\.evj$/.test(name);
}

export function isSnapshotName(name: string): boolean {
  return /^\d{10}-\d{16}\.evs$/.test(name);
}

/** The revision of the first change set of a segment of that name. */
export function firstRevision(path: string): number {
  return Number(path.slice(-SEGMENT_SUFFIX.length - 16, -SEGMENT_SUFFIX.length));
}

export function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
