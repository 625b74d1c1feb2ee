import type { Disk, DiskFile, Reporter } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import { listDirectory } from '../disk/listing.ts';
import { removeFiles } from '../disk/removal.ts';
import { isNoSpace } from '../groups/failure.ts';
import { ActiveSegment } from '../segments/active-segment.ts';
import { READ_BYTES } from '../segments/record-reader.ts';
import type { Segment } from '../segments/segment.ts';
import type { HistoryStart } from '../segments/segment-list.ts';
import type { FoundSegment } from '../segments/segment-scan.ts';
import { cutSegment } from '../segments/segment-scan.ts';
import { DETACHED_DIRECTORY, fileName, SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY, TEMPORARY_SUFFIX } from '../site/layout.ts';
import type { Findings } from './survey.ts';

/**
 * Changes the directory to what was decided, durably. Each step can be repeated after a crash.
 * @param detachedMaxBytes see `JournalOptions`
 */
export async function restore(disk: Disk, findings: Findings, report: Reporter, detachedMaxBytes: number): Promise<HistoryStart> {
  const { choice, leftovers } = findings;
  const newest = choice.segments.at(-1);
  await detach(disk, findings, report);
  for (const path of leftovers) await disk.remove(path);
  for (const found of choice.segments) {
    await mend(disk, found, found === newest, { report, detachedMaxBytes });
  }
  await disk.syncDirectory(SEGMENT_DIRECTORY);
  await disk.syncDirectory(SNAPSHOT_DIRECTORY);
  return {
    base: choice.base,
    generation: choice.generation,
    segments: choice.segments.map(found => found.segment),
    continues: newest !== undefined && !newest.sealed,
  };
}

/**
 * Moves the files that the history can't use to `detached/`, and reports each. They are never deleted or overwritten.
 */
async function detach(disk: Disk, findings: Findings, report: Reporter): Promise<void> {
  const { choice, unreachable, withoutRecords, unsound } = findings;
  if (unreachable.length + withoutRecords.length + unsound.length === 0) return;
  await disk.makeDirectory(DETACHED_DIRECTORY);
  const taken = new Set(await disk.list(DETACHED_DIRECTORY));
  const at = formatPosition(choice.last);
  const files: string[] = [];
  for (const path of unreachable) files.push(await moveAside(disk, path, taken));
  if (files.length > 0) {
    const message = `the history begins at ${formatPosition(choice.base)} and ends at ${at}; segments that a hole separates from it were moved to ${files.join(', ')}`;
    report({ level: 'warn', event: 'history-gap', message, details: { last: choice.last, files } });
  }
  for (const { segment, rest } of withoutRecords) {
    const file = await moveAside(disk, segment.path, taken);
    const held = rest === 'nothing' ? 'only zeros' : 'other bytes';
    const message = `${segment.path} holds no sound record (${held}): a write that never ended, or lost bytes; the history ends at ${at}, and the file was moved to ${file}`;
    report({ level: 'warn', event: 'segment-without-records', message, details: { last: choice.last, file, offset: segment.end } });
  }
  for (const { path, offset, problem } of unsound) {
    const file = await moveAside(disk, path, taken);
    const message = `the snapshot ${path} is damaged at offset ${offset} (${problem}); it was moved to ${file}`;
    report({ level: 'warn', event: 'snapshot-unsound', message, details: { file: path, offset } });
  }
  await disk.syncDirectory(DETACHED_DIRECTORY);
  await disk.syncDirectory('');
}

/** Moves a file to `detached/`, under a name that is free there. @param taken the names there */
async function moveAside(disk: Disk, path: string, taken: Set<string>): Promise<string> {
  const name = freeName(fileName(path), taken);
  taken.add(name);
  await disk.rename(path, `${DETACHED_DIRECTORY}/${name}`);
  return `${DETACHED_DIRECTORY}/${name}`;
}

function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted;
  for (let count = 1; taken.has(name); count++) name = `${wanted}.${count}`;
  return name;
}

interface Cutting {
  readonly report: Reporter;
  readonly detachedMaxBytes: number;
}

/** Cuts off a torn tail, or seals a segment that a crash left unsealed. Syncs what only the page cache may hold. */
async function mend(disk: Disk, found: FoundSegment, isNewest: boolean, cutting: Cutting): Promise<void> {
  if (found.sealed) return;
  const { segment, rest } = found;
  const file = await disk.open(segment.path, { write: true });
  if (!isNewest) {
    await new ActiveSegment(segment, file, { mode: 'fdatasync', limitBytes: 0, failed: rethrow }).seal();
    return;
  }
  try {
    await file.sync();
    if (rest !== 'nothing') await cut(disk, file, found, cutting);
  } finally {
    await file.close();
  }
}

async function cut(disk: Disk, file: DiskFile, found: FoundSegment, { report, detachedMaxBytes }: Cutting): Promise<void> {
  const { segment, rest } = found;
  const detachedBytes = await bytesIn(disk, DETACHED_DIRECTORY);
  const isOver = detachedBytes + segment.bytes - segment.end > detachedMaxBytes;
  const kept = isOver ? undefined : await keepEnd(disk, file, segment);
  const bytes = await cutSegment(file, segment);
  const reason =
    rest === 'torn' ? 'the rest of a write that never ended, or a last write that is damaged' : 'the copy lacks bytes before them';
  const limit = `they are not kept, for ${DETACHED_DIRECTORY}/ takes ${detachedBytes} of at most ${detachedMaxBytes} bytes: look at it, and empty it`;
  const where = isOver ? limit : kept === undefined ? 'there is no room to keep them' : `they are kept in ${kept}`;
  report({
    level: 'warn',
    event: 'tail-cut',
    message: `cut ${bytes} bytes off ${segment.path} at offset ${segment.end}: ${reason}; ${where}`,
    details: { file: segment.path, offset: segment.end, bytes, last: segment.last, kept },
  });
}

/** Bytes of the files in a directory, which may be missing. */
async function bytesIn(disk: Disk, directory: string): Promise<number> {
  let sum = 0;
  for (const name of await listDirectory(disk, directory)) {
    const file = await disk.open(`${directory}/${name}`, {});
    sum += await file.size();
    await file.close();
  }
  return sum;
}

/**
 * Copies what is cut off a segment to `detached/`, durably, before it is cut. The last write may have been stable, and
 * damaged later: recovery can't tell that from a write that never ended.
 * @returns the copy; undefined if the disk is full, for a full disk must not keep a site from its start
 */
async function keepEnd(disk: Disk, from: DiskFile, segment: Segment): Promise<string | undefined> {
  const name = `${fileName(segment.path)}.from-${segment.end}`;
  const partial = `${DETACHED_DIRECTORY}/${name}${TEMPORARY_SUFFIX}`;
  try {
    await disk.makeDirectory(DETACHED_DIRECTORY);
    const path = `${DETACHED_DIRECTORY}/${freeName(name, new Set(await disk.list(DETACHED_DIRECTORY)))}`;
    await copyEnd(disk, from, segment, partial);
    await disk.rename(partial, path);
    await disk.syncDirectory(DETACHED_DIRECTORY);
    await disk.syncDirectory('');
    return path;
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    await removeFiles(disk, [partial]);
    return undefined;
  }
}

async function copyEnd(disk: Disk, from: DiskFile, segment: Segment, to: string): Promise<void> {
  const file = await disk.open(to, { create: true, write: true });
  try {
    for (let at = segment.end; at < segment.bytes;) {
      const buffer = Buffer.alloc(Math.min(READ_BYTES, segment.bytes - at));
      const length = await from.read(buffer, at);
      if (length === 0) break;
      await file.write([buffer.subarray(0, length)], at - segment.end);
      at += length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function rethrow(error: unknown): never {
  throw error;
}
