import type { Position } from '@evertree/core';

/** The names in a site's directory; FORMAT.md, «Directory». */
export const SITE_FILE = 'site.json';
export const LEASES_FILE = 'leases.json';
/** A directory of version 1 has this instead of `leases.json`. */
export const PEERS_FILE = 'peers.json';
/** Tells where the history is cut back to. It is there only while that is going on. */
export const REWIND_FILE = 'rewind.json';
/** Tells which work on the directory has not ended. No site starts while it is there. */
export const UNFINISHED_FILE = 'unfinished.json';
export const LOCK_FILE = 'lock';
export const SEGMENT_DIRECTORY = 'journal';
export const SNAPSHOT_DIRECTORY = 'snapshots';
/** Files that recovery could not use. This program never reads or removes them. */
export const DETACHED_DIRECTORY = 'detached';
/** What this site held and the common history does not. */
export const DIVERGENCE_DIRECTORY = 'divergences';
/** Suffix of files that are being written. Recovery ignores their content and removes them. */
export const TEMPORARY_SUFFIX = '.tmp';

const SEGMENT_SUFFIX = '.evj';
const SNAPSHOT_SUFFIX = '.evs';
/** Of the file that tells about a divergence. */
const RECORD_SUFFIX = '.json';

/** Epoch and revision with leading zeros, so that names sort in the order of the history. */
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

/** @param name of a divergence: see core's `KeptDivergence` */
export function divergencePath(name: string, kind: 'frames' | 'record'): string {
  return `${DIVERGENCE_DIRECTORY}/${name}${kind === 'frames' ? SEGMENT_SUFFIX : RECORD_SUFFIX}`;
}

/** The name of the divergence that a file in its directory belongs to; undefined for other files. */
export function divergenceOf(file: string, kind: 'frames' | 'record'): string | undefined {
  const suffix = kind === 'frames' ? SEGMENT_SUFFIX : RECORD_SUFFIX;
  const name = file.endsWith(suffix) ? file.slice(0, -suffix.length) : '';
  return /^\d+-[0-9a-f]{16}-\d+-\d+$/.test(name) ? name : undefined;
}

/** The revision in a file's name: of a segment's first change set, or of a snapshot. */
export function namedRevision(path: string): number {
  return Number(path.slice(-SEGMENT_SUFFIX.length - 16, -SEGMENT_SUFFIX.length));
}

export function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
