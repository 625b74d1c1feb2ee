import type { Disk, DiskFile, Reporter } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import { ActiveSegment } from '../segments/active-segment.ts';
import type { HistoryStart } from '../segments/segment-list.ts';
import type { FoundSegment } from '../segments/segment-scan.ts';
import { cutSegment } from '../segments/segment-scan.ts';
import { DETACHED_DIRECTORY, fileName, SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';
import type { Findings } from './survey.ts';

/** Changes the directory to what was decided, durably. Each step can be repeated after a crash. */
export async function restore(disk: Disk, findings: Findings, report: Reporter): Promise<HistoryStart> {
  const { choice, leftovers } = findings;
  await detach(disk, findings, report);
  for (const path of leftovers) await disk.remove(path);
  for (const found of choice.segments) {
    const isNewest = found === choice.segments.at(-1);
    await mend(disk, found, isNewest, report);
    found.segment.sealed = found.sealed || !isNewest;
  }
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
    const message = `the history ends at ${at}; files behind a hole in it were moved to ${files.join(', ')}`;
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
  let name = fileName(path);
  for (let count = 1; taken.has(name); count++) name = `${fileName(path)}.${count}`;
  taken.add(name);
  await disk.rename(path, `${DETACHED_DIRECTORY}/${name}`);
  return `${DETACHED_DIRECTORY}/${name}`;
}

/** Cuts off a torn tail, or seals a segment that a crash left unsealed. Syncs what only the page cache may hold. */
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
  const reason = rest === 'torn' ? 'the rest of a write that never ended' : 'the copy lacks bytes before them';
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
