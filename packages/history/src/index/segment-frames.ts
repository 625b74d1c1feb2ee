import type { Disk, DiskFile, ExactPosition, Frame } from '@evertree/core';
import { samePosition } from '@evertree/core';
import {
  FileWindow,
  decodeSegmentHeader,
  isMissing,
  isSegmentName,
  readRecord,
  SEGMENT_DIRECTORY,
  SEGMENT_HEADER_BYTES,
} from '@evertree/journal/files';
import type { FramePlace } from './run-builder.ts';

/** A segment as its file says. */
export interface IndexedSegment {
  readonly name: string;
  readonly stream: string;
  readonly salt: number;
  readonly generation: number;
  readonly base: ExactPosition;
}

/**
 * The segments that are there, in the order of their names. Those without a sound header are left out, and those
 * of a lower generation, which are leftovers.
 * @param known their headers are not read again
 */
export async function listSegments(disk: Pick<Disk, 'list' | 'open'>, known: readonly IndexedSegment[]): Promise<IndexedSegment[]> {
  const found: IndexedSegment[] = [];
  const byName = new Map(known.map(segment => [segment.name, segment]));
  for (const name of (await disk.list(SEGMENT_DIRECTORY)).filter(isSegmentName).toSorted()) {
    const segment = byName.get(name) ?? (await readHeader(disk, name));
    if (segment !== undefined) found.push(segment);
  }
  const generation = found.reduce((highest, segment) => Math.max(highest, segment.generation), 0);
  return found.filter(segment => segment.generation === generation);
}

async function readHeader(disk: Pick<Disk, 'open'>, name: string): Promise<IndexedSegment | undefined> {
  try {
    const file = await disk.open(`${SEGMENT_DIRECTORY}/${name}`, {});
    try {
      const header = decodeSegmentHeader(await new FileWindow(file).load(0, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES), name);
      return header === undefined ? undefined : { name, ...header };
    } finally {
      await file.close();
    }
  } catch (error) {
    // Retention removed it after it was listed.
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Where a record begins. */
export interface RecordPlace {
  /** Of the segment's file. */
  readonly name: string;
  readonly offset: number;
}

export interface SegmentFrame {
  readonly frame: Frame;
  readonly place: FramePlace;
}

export interface FramesOptions {
  /** Where the first frame may stand, if that is known. */
  readonly hint?: RecordPlace | undefined;
  /** Each frame is valid only until the next one is asked for: see `FileWindow`. */
  readonly fleeting?: boolean;
}

/** The frames after a position, in order, as far as they are sound and follow one another. */
export async function* framesAfter(
  disk: Pick<Disk, 'open'>,
  segments: readonly IndexedSegment[],
  position: ExactPosition,
  { hint, fleeting = false }: FramesOptions = {},
): AsyncGenerator<SegmentFrame, void, undefined> {
  let last = position;
  const from = segments.findLastIndex(({ base }) => base.revision <= position.revision);
  for (const segment of segments.slice(Math.max(0, from))) {
    const offset = hint?.name === segment.name ? hint.offset : SEGMENT_HEADER_BYTES;
    try {
      for await (const placed of framesIn(disk, segment, { from: offset, fleeting })) {
        const { base } = placed.frame.header;
        if (base.revision < last.revision) continue;
        if (!samePosition(base, last)) return;
        last = placed.frame.header.last;
        yield placed;
      }
    } catch (error) {
      // Retention removed the file after it was listed.
      if (!isMissing(error)) throw error;
      return;
    }
  }
}

/** Where reading begins, and whether frames stay valid. */
interface ReadingStart {
  readonly from: number;
  readonly fleeting: boolean;
}

async function* framesIn(
  disk: Pick<Disk, 'open'>,
  segment: IndexedSegment,
  start: ReadingStart,
): AsyncGenerator<SegmentFrame, void, undefined> {
  const file = await disk.open(`${SEGMENT_DIRECTORY}/${segment.name}`, {});
  try {
    yield* framesFrom(file, segment, start);
  } finally {
    await file.close();
  }
}

async function* framesFrom(
  file: DiskFile,
  segment: IndexedSegment,
  { from, fleeting }: ReadingStart,
): AsyncGenerator<SegmentFrame, void, undefined> {
  const size = await file.size();
  const window = new FileWindow(file, { fleeting });
  const named = { name: segment.name, salt: segment.salt, base: segment.base.revision };
  for (let offset = from; ;) {
    const record = await readRecord(window, offset, size, segment.salt);
    if (record === undefined) return;
    yield { frame: record.frame, place: { segment: named, offset, length: record.next - offset } };
    offset = record.next;
  }
}
