import type { Disk, DiskFile, ExactPosition } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { removeFiles } from '../disk/removal.ts';
import { isMissing, unsupported } from '../groups/failure.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../segments/segment-format.ts';
import { FileWindow } from '../segments/record-reader.ts';
import {
  fileName,
  namedRevision,
  isSegmentName,
  isSnapshotName,
  REWIND_FILE,
  SEGMENT_DIRECTORY,
  SNAPSHOT_DIRECTORY,
} from '../site/layout.ts';
import { DIRECTORY_VERSION, isKnownVersion, isPosition, isRecord } from '../site/site-file.ts';
import { readStateFile, writeStateFile } from '../site/state-file.ts';
import { inspectSnapshot } from '../snapshots/snapshot-file.ts';

/**
 * The content of rewind.json. From the rename that names the file on, all that lies behind the position counts for
 * nothing.
 */
export interface Rewind {
  readonly position: ExactPosition;
  /** Of the history that is cut back. Files of another generation stay as they are. */
  readonly generation: number;
  /**
   * The segment that has the position, and the offset after its last record; undefined when the position is the base of
   * the history.
   */
  readonly newest: { readonly path: string; readonly end: number } | undefined;
}

/** Decides the rewind, durably. */
export async function writeRewind(disk: Disk, rewind: Rewind): Promise<void> {
  const { position, generation, newest } = rewind;
  await writeStateFile(disk, REWIND_FILE, { format: DIRECTORY_VERSION, position, generation, newest });
}

/** After a failed `writeRewind`: makes sure that nothing was decided. Fails if the disk does not tell. */
export async function withdrawRewind(disk: Disk): Promise<void> {
  await removeFiles(disk, [REWIND_FILE]);
  await disk.syncDirectory('');
}

/**
 * Carries out a rewind that was decided, from the start or after a crash in the middle. Does nothing if none was
 * decided.
 * @returns the position of the rewind. The history ends there, unless files are missing
 * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED
 */
export async function finishRewind(disk: Disk): Promise<ExactPosition | undefined> {
  const rewind = await readRewind(disk);
  if (rewind === undefined) return undefined;
  const { newest } = rewind;
  for (const path of await filesAfter(disk, rewind)) await removeFiles(disk, [path]);
  if (newest !== undefined) await truncate(disk, newest.path, newest.end);
  await disk.syncDirectory(SEGMENT_DIRECTORY);
  await disk.syncDirectory(SNAPSHOT_DIRECTORY);
  await disk.remove(REWIND_FILE);
  await disk.syncDirectory('');
  return rewind.position;
}

/**
 * The files to remove: snapshots, then segments, the newest first. A crash in between leaves a history without holes.
 */
async function filesAfter(disk: Disk, { position, generation }: Rewind): Promise<string[]> {
  const paths: string[] = [];
  for (const name of (await disk.list(SNAPSHOT_DIRECTORY)).filter(isSnapshotName).toSorted()) {
    const snapshot = await inspectSnapshot(disk, `${SNAPSHOT_DIRECTORY}/${name}`);
    if (!('header' in snapshot) || snapshot.generation !== generation) continue;
    if (snapshot.header.position.revision > position.revision) paths.unshift(snapshot.path);
  }
  const segments: string[] = [];
  for (const name of (await disk.list(SEGMENT_DIRECTORY)).filter(isSegmentName)) {
    const path = `${SEGMENT_DIRECTORY}/${name}`;
    if (namedRevision(path) > position.revision && (await generationOf(disk, path)) === generation) segments.push(path);
  }
  return [...paths, ...segments.toSorted((a, b) => namedRevision(b) - namedRevision(a))];
}

async function generationOf(disk: Disk, path: string): Promise<number | undefined> {
  const file = await disk.open(path, {});
  try {
    const bytes = await new FileWindow(file).load(0, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES);
    return decodeSegmentHeader(bytes, path)?.generation;
  } finally {
    await file.close();
  }
}

/** A file that is missing needs no truncation: the opening finds out how far the history reaches without it. */
async function truncate(disk: Disk, path: string, end: number): Promise<void> {
  const file = await openFound(disk, path);
  if (file === undefined) return;
  try {
    if ((await file.size()) > end) await file.truncate(end);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function openFound(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, { write: true });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED; undefined if no rewind is decided */
export async function readRewind(disk: Disk): Promise<Rewind | undefined> {
  const text = await readStateFile(disk, REWIND_FILE);
  if (text === undefined) return undefined;
  const value = parse(text);
  const { format, position, generation, newest } = value;
  if (typeof format === 'number' && !isKnownVersion(format)) throw unsupported(REWIND_FILE, format, DIRECTORY_VERSION);
  if (!isPosition(position) || typeof generation !== 'number') throw unreadable();
  if (newest === undefined) return { position, generation, newest };
  if (!isRecord(newest) || typeof newest['path'] !== 'string' || typeof newest['end'] !== 'number') throw unreadable();
  if (!isSegmentName(fileName(newest['path']))) throw unreadable();
  return { position, generation, newest: { path: newest['path'], end: newest['end'] } };
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch (error) {
    throw unreadable(error);
  }
}

function unreadable(cause?: unknown): EvertreeError {
  const message = `${REWIND_FILE} does not say what the history goes back to; restore this directory from a backup`;
  return new EvertreeError('DAMAGED', message, { file: REWIND_FILE, offset: 0 }, cause);
}
