import type { Disk, DiskFile } from '@evertree/core';
import { damaged } from '../groups/failure.ts';
import type { StoredRecord } from './record-reader.ts';
import { FileWindow, readRecord } from './record-reader.ts';
import { SEGMENT_HEADER_BYTES } from './segment-format.ts';
import type { Segment } from './segment.ts';
import { loadIndex } from './segment.ts';

/** Where a reader stands in a segment. */
export interface ReadCursor {
  readonly segment: Segment;
  readonly file: DiskFile;
  readonly window: FileWindow;
  /** The offset of the next record; the segment's end when there is none. */
  offset: number;
}

/** Opens a segment at, or a little before, the frame that follows `revision`. The caller closes the file. */
export async function openCursor(
  disk: Disk,
  segment: Segment,
  { revision, fleeting = false }: { readonly revision: number; readonly fleeting?: boolean },
): Promise<ReadCursor> {
  const offset = (await loadIndex(disk, segment)).seek(revision) ?? SEGMENT_HEADER_BYTES;
  const file = await disk.open(segment.path, {});
  return { segment, file, window: new FileWindow(file, { fleeting }), offset };
}

/** Reads the record at the cursor, and moves the cursor behind it. @throws EvertreeError DAMAGED */
export async function readAt(cursor: ReadCursor): Promise<StoredRecord> {
  const { segment } = cursor;
  const record = await readRecord(cursor.window, cursor.offset, segment.end, segment.header.salt);
  if (record === undefined) throw damaged(segment.path, cursor.offset, 'the record there is damaged');
  cursor.offset = record.next;
  return record;
}

/** The records of a segment from `offset` on, oldest first. */
export async function* recordsFrom(disk: Disk, segment: Segment, offset: number): AsyncGenerator<StoredRecord, void, undefined> {
  const file = await disk.open(segment.path, {});
  try {
    const cursor = { segment, file, window: new FileWindow(file), offset };
    while (cursor.offset < segment.end) yield await readAt(cursor);
  } finally {
    await file.close();
  }
}
