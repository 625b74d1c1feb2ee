import type { Disk, DiskFile, ExactPosition } from '@evertree/core';
import { EvertreeError, isEvertreeError, samePosition } from '@evertree/core';
import { FileWindow, READ_BYTES, readRecord } from './record-reader.ts';
import type { SegmentHeader } from './segment-format.ts';
import { decodeRecordHeader, decodeSegmentHeader, RECORD_HEADER_BYTES, RECORD_MAGIC, SEGMENT_HEADER_BYTES } from './segment-format.ts';
import type { Segment } from './segment.ts';
import { emptySegment, readSeal } from './segment.ts';

/** What a segment file holds, as far as it can be trusted. */
export interface FoundSegment {
  readonly segment: Segment;
  readonly sealed: boolean;
  /**
   * What lies behind the last sound record: nothing or zeros; the rest of a write that never ended; or records that
   * were stable once.
   */
  readonly rest: 'nothing' | 'torn' | 'damaged';
}

const RECORD_MAGIC_BYTES = Buffer.alloc(4);
RECORD_MAGIC_BYTES.writeUInt32LE(RECORD_MAGIC);

/**
 * Inspects a segment file.
 * @param options.trustSeal a sound seal proves that all before it is sound. Not in a copy: its blocks may be of
 *   different times.
 * @param options.stopAt the base of the next segment: records behind it count for nothing
 * @returns undefined if it has no sound header and no records; 'damaged' if it has no sound header, but records
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export async function inspectSegment(
  disk: Disk,
  path: string,
  options: { readonly trustSeal: boolean; readonly stopAt: (header: SegmentHeader) => ExactPosition | undefined },
): Promise<FoundSegment | 'damaged' | undefined> {
  const file = await disk.open(path, {});
  try {
    const size = await file.size();
    const window = new FileWindow(file);
    const header = decodeSegmentHeader(await window.load(0, SEGMENT_HEADER_BYTES, size), path);
    if (header === undefined) {
      const { lastGroupStart } = await inspectRest(window, 0, size, undefined);
      return lastGroupStart === undefined ? undefined : 'damaged';
    }
    const segment = emptySegment(path, header);
    segment.bytes = size;
    const found = await readSeal(window, size, header.salt);
    if (found !== undefined && options.trustSeal) {
      segment.last = found.seal.last;
      segment.lastTime = found.seal.lastTime;
      segment.end = found.offset;
      segment.index = undefined;
      return { segment, sealed: true, rest: 'nothing' };
    }
    const rest = await scan(window, segment, size, options.stopAt(header));
    if (found !== undefined && segment.end === found.offset) return { segment, sealed: true, rest: 'nothing' };
    return { segment, sealed: false, rest };
  } finally {
    await file.close();
  }
}

/** Reads the records up to the last sound one, and notes in `segment` where they end. */
async function scan(window: FileWindow, segment: Segment, size: number, stopAt: ExactPosition | undefined): Promise<FoundSegment['rest']> {
  for (;;) {
    if (stopAt !== undefined && samePosition(segment.last, stopAt)) return 'nothing';
    const record = await soundRecord(window, segment, size);
    if (record === undefined) break;
    const { header } = record.frame;
    if (header.stream !== segment.header.stream || !samePosition(header.base, segment.last)) return 'damaged';
    segment.index?.add(header.base.revision, segment.end, header.firstTime);
    segment.last = header.last;
    segment.lastTime = header.lastTime;
    segment.end = record.next;
  }
  const rest = await inspectRest(window, segment.end, size, segment.header.salt);
  if (rest.isZero) return 'nothing';
  return rest.lastGroupStart !== undefined && rest.lastGroupStart > segment.end ? 'damaged' : 'torn';
}

async function soundRecord(window: FileWindow, segment: Segment, size: number) {
  try {
    return await readRecord(window, segment.end, size, segment.header.salt);
  } catch (error) {
    if (!isEvertreeError(error, 'FORMAT_UNSUPPORTED')) throw error;
    const place = { file: segment.path, offset: segment.end };
    throw new EvertreeError('FORMAT_UNSUPPORTED', `${place.file} at offset ${place.offset}: ${error.message}`, place, error);
  }
}

/** What lies behind the last sound record of a segment. */
export interface SegmentRest {
  readonly isZero: boolean;
  /** The highest start of a group that a record behind the last sound one names; undefined if there is none. */
  readonly lastGroupStart: number | undefined;
}

/**
 * Inspects what lies behind the last sound record. A group is only written when all groups before it are stable. So a
 * record whose group begins behind the damage proves that the damaged bytes were stable once.
 * @param salt undefined if the segment's header is lost
 */
export async function inspectRest(window: FileWindow, from: number, size: number, salt: number | undefined): Promise<SegmentRest> {
  let isZero = true;
  let lastGroupStart: number | undefined;
  for (let at = from; at < size;) {
    const bytes = await window.load(at, Math.min(READ_BYTES, size - at), size);
    if (bytes.length === 0) break;
    isZero &&= isAllZero(bytes);
    for (const groupStart of groupStarts(bytes, at, salt)) lastGroupStart = Math.max(lastGroupStart ?? 0, groupStart);
    // The windows overlap by a record header, so that a header across two of them is not missed.
    at += bytes.length < READ_BYTES ? bytes.length : READ_BYTES - RECORD_HEADER_BYTES;
  }
  return { isZero, lastGroupStart };
}

function* groupStarts(bytes: Buffer, offset: number, salt: number | undefined): Generator<number> {
  for (let at = bytes.indexOf(RECORD_MAGIC_BYTES); at >= 0; at = bytes.indexOf(RECORD_MAGIC_BYTES, at + 1)) {
    const candidate = bytes.subarray(at, at + RECORD_HEADER_BYTES);
    if (candidate.length < RECORD_HEADER_BYTES) continue;
    const header = decodeRecordHeader(candidate, offset + at, salt ?? candidate.readUInt32LE(4));
    if (header !== undefined) yield header.groupStart;
  }
}

const ZERO = Buffer.alloc(READ_BYTES);

function isAllZero(bytes: Buffer): boolean {
  return bytes.equals(ZERO.subarray(0, bytes.length));
}

/** Cuts the file off behind its last sound record, durably. @returns how many bytes went */
export async function cutSegment(file: DiskFile, segment: Segment): Promise<number> {
  const cut = segment.bytes - segment.end;
  await file.truncate(segment.end);
  await file.sync();
  segment.bytes = segment.end;
  return cut;
}
