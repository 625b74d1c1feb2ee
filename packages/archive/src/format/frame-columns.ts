import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { FRAME_CHECKSUM_BYTES, FRAME_HEADER_BYTES, FRAME_MAGIC, type NetChanges } from '@evertree/core';
import { BodyColumnsReader, SPARE_BYTES } from './body-columns-reader.ts';
import { BodyColumnsWriter, UnfitBody } from './body-columns-writer.ts';
import { ColumnReaders, ColumnWriters } from './column-list.ts';
import { MalformedColumns } from './column-reader.ts';
import {
  BASE,
  BASE_REVISION,
  BINARY,
  BODY_LENGTH,
  CODEC,
  COUNT,
  DIGEST,
  EPOCH,
  FIRST_TIME,
  FLAGS,
  LAST_REVISION,
  LAST_TIME,
  PREVIOUS,
  readWide,
} from './frame-offsets.ts';
import { Gathering, type RevisionSpan } from './gathering.ts';
import { releaseMemory } from './memory.ts';

/** ARCHIVE.md, «Columns», is normative; this file and those whose names say columns are its implementation. */

/** More bytes of frames are never in columns: coding them takes some times their memory. */
const COLUMNS_PLAIN_LIMIT_BYTES = 8 * 1024 * 1024;

/** Bits of a frame's kind. */
const HAS_BODY_COLUMNS = 1;
const HAS_NEXT_HEADER = 2;
const HAS_CHAIN = 4;
const HAS_CHECKSUM = 8;

/** After so many frames whose bodies don't fit, the object is no case for columns. */
const ATTEMPTS = 4;

/** The most bytes that columns of so many bytes of frames have; 0 if these are too many for columns. */
export function columnsLimit(plainBytes: number): number {
  return plainBytes > COLUMNS_PLAIN_LIMIT_BYTES ? 0 : plainBytes * 2;
}

/**
 * Writes frames that follow one another as columns. What is given back was read again and compared.
 * @returns undefined for what is better stored as it is
 */
export function encodeColumns(frames: Buffer): Buffer | undefined {
  if (frames.length > COLUMNS_PLAIN_LIMIT_BYTES || !areFrames(frames)) return undefined;
  const unfit = new Set<number>();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const columns = new ColumnWriters();
    const at = writeFrames(frames, columns, unfit);
    const stored = at === undefined ? columns.store(columnsLimit(frames.length)) : undefined;
    columns.release();
    if (at === undefined) return proven(stored, frames);
    unfit.add(at);
  }
  return undefined;
}

function proven(columns: Buffer | undefined, frames: Buffer): Buffer | undefined {
  if (columns === undefined) return undefined;
  try {
    const again = readColumns(columns, frames.length, { expected: frames }).frames;
    const isSame = again.equals(frames);
    releaseMemory(again);
    return isSame ? columns : undefined;
  } catch (error) {
    if (error instanceof MalformedColumns) return undefined;
    throw error;
  }
}

function areFrames(bytes: Buffer): boolean {
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < FRAME_HEADER_BYTES + FRAME_CHECKSUM_BYTES || bytes.readUInt32LE(at) !== FRAME_MAGIC) return false;
    at = frameEnd(bytes, at);
  }
  return at === bytes.length;
}

function frameEnd(bytes: Buffer, at: number): number {
  return at + FRAME_HEADER_BYTES + bytes.readUInt32LE(at + BODY_LENGTH) + FRAME_CHECKSUM_BYTES;
}

/**
 * @param unfit where frames begin whose bodies are kept as they are
 * @returns where one more begins; undefined if all were written
 */
function writeFrames(frames: Buffer, columns: ColumnWriters, unfit: ReadonlySet<number>): number | undefined {
  const bodies = new BodyColumnsWriter(frames, columns);
  let before = -1;
  for (let at = 0; at < frames.length;) {
    const end = frameEnd(frames, at);
    const isBinary = frames[at + CODEC] === BINARY && frames.readUInt16LE(at + FLAGS) === 0;
    try {
      writeFrame(frames, { before, at, end, hasBodyColumns: isBinary && !unfit.has(at) }, columns, bodies);
    } catch (error) {
      if (error instanceof UnfitBody) return at;
      throw error;
    }
    before = at;
    at = end;
  }
  bodies.release();
  return undefined;
}

interface WrittenFrame {
  /** Where the frame before begins; -1 for none. */
  readonly before: number;
  readonly at: number;
  readonly end: number;
  readonly hasBodyColumns: boolean;
}

function writeFrame(
  frames: Buffer,
  { before, at, end, hasBodyColumns }: WrittenFrame,
  columns: ColumnWriters,
  bodies: BodyColumnsWriter,
): void {
  const count = frames.readUInt32LE(at + COUNT);
  const isNext = before >= 0 && isNextHeader(frames, before, at);
  const body = at + FRAME_HEADER_BYTES;
  const sum = end - FRAME_CHECKSUM_BYTES;
  if (isNext) columns.counts.add(count);
  else columns.headers.addBytes(frames, at, at + PREVIOUS);
  let time = 0;
  if (hasBodyColumns) {
    time = bodies.write(body, sum, count);
  } else {
    if (isNext) columns.bodyLengths.add(sum - body);
    columns.bodies.addBytes(frames, body, sum);
  }
  if (isNext) writeHeader(frames, before, at, time, columns);
  const hasChain = before >= 0 && hash('sha256', frames.subarray(before, at), 'buffer').equals(frames.subarray(at + PREVIOUS, body));
  if (!hasChain) columns.headers.addBytes(frames, at + PREVIOUS, body);
  const hasChecksum = crc32(frames.subarray(at, sum)) === frames.readUInt32LE(sum);
  if (!hasChecksum) columns.headers.addBytes(frames, sum, end);
  const kind = (hasBodyColumns ? HAS_BODY_COLUMNS : 0) | (isNext ? HAS_NEXT_HEADER : 0);
  columns.kinds.add(kind | (hasChain ? HAS_CHAIN : 0) | (hasChecksum ? HAS_CHECKSUM : 0));
}

/** Whether a header says of stream, epochs and revisions what follows from the one before. */
function isNextHeader(frames: Buffer, before: number, at: number): boolean {
  for (let offset = 0; offset < BASE; offset++) if (frames[before + offset] !== frames[at + offset]) return false;
  for (let offset = EPOCH; offset < BASE; offset++) {
    if (frames[before + offset] !== frames[at + offset + BASE - EPOCH]) return false;
  }
  const base = readWide(frames, at + BASE_REVISION);
  const isFollowing = base === readWide(frames, before + LAST_REVISION);
  const hasCount = readWide(frames, at + LAST_REVISION) === base + frames.readUInt32LE(at + COUNT);
  const first = readWide(frames, at + FIRST_TIME);
  return isFollowing && hasCount && first >= readWide(frames, before + LAST_TIME) && readWide(frames, at + LAST_TIME) >= 0;
}

function writeHeader(frames: Buffer, before: number, at: number, time: number, columns: ColumnWriters): void {
  const first = readWide(frames, at + FIRST_TIME);
  columns.firstTimes.add(first - readWide(frames, before + LAST_TIME));
  const rest = readWide(frames, at + LAST_TIME) - first - time;
  columns.lastTimes.add(rest < 0 ? -2 * rest - 1 : 2 * rest);
  columns.digests.addBytes(frames, at + DIGEST, at + FIRST_TIME);
}

/**
 * Gives back the frames that were written as columns.
 * @param plainBytes how many bytes they have
 * @throws MalformedColumns for columns that were not written by `encodeColumns`
 */
export function decodeColumns(columns: Buffer, plainBytes: number): Buffer {
  return readColumns(columns, plainBytes, {}).frames;
}

/**
 * The same, and gathers what the frames of a span change altogether.
 * @returns without changes where their order or their values can't be told apart so easily
 */
export function decodeGathering(
  columns: Buffer,
  plainBytes: number,
  span: RevisionSpan,
): { readonly frames: Buffer; readonly changes: NetChanges | undefined } {
  return readColumns(columns, plainBytes, { span });
}

interface DecodingOptions {
  /** The frames that they have to be, whose hashes were compared: those are not made again. */
  readonly expected?: Buffer;
  readonly span?: RevisionSpan;
}

function readColumns(
  columns: Buffer,
  plainBytes: number,
  { expected, span }: DecodingOptions,
): { readonly frames: Buffer; readonly changes: NetChanges | undefined } {
  if (plainBytes > COLUMNS_PLAIN_LIMIT_BYTES) throw new MalformedColumns(`${plainBytes} bytes of frames are never in columns`);
  const readers = new ColumnReaders(columns);
  // An operation or a definition has three bytes at least, a key that is spelled two, a text one.
  const { pathKeys, keyLengths, textLengths } = readers;
  if (pathKeys.length * 3 > plainBytes || keyLengths.length * 2 > plainBytes || textLengths.length > plainBytes) {
    throw new MalformedColumns('they have more than frames can have');
  }
  const frames = Buffer.allocUnsafeSlow(plainBytes + SPARE_BYTES);
  const bodies = new BodyColumnsReader(frames, readers);
  const gathering = span && new Gathering(frames, span, bodies);
  let before = -1;
  let at = 0;
  while (at < plainBytes) {
    const end = readFrame(frames, { before, at, expected, gathering }, readers, bodies);
    before = at;
    at = end;
  }
  readers.assertRead();
  if (at !== plainBytes) throw new MalformedColumns('the frames are longer than the header says');
  const changes = gathering?.changes();
  bodies.release();
  return { frames: frames.subarray(0, plainBytes), changes };
}

interface ReadFrame {
  /** Where the frame before begins; -1 for none. */
  readonly before: number;
  readonly at: number;
  readonly expected: Buffer | undefined;
  readonly gathering: Gathering | undefined;
}

/** @returns where it ends */
function readFrame(
  frames: Buffer,
  { before, at, expected, gathering }: ReadFrame,
  columns: ColumnReaders,
  bodies: BodyColumnsReader,
): number {
  const kind = columns.kinds.read();
  const body = at + FRAME_HEADER_BYTES;
  const isNext = (kind & HAS_NEXT_HEADER) !== 0;
  if (body > frames.length || kind > 15 || (before < 0 && (kind & (HAS_NEXT_HEADER | HAS_CHAIN)) !== 0))
    throw new MalformedColumns('a frame has no sound kind');
  if (!isNext) copy(columns, frames, at, PREVIOUS);
  const count = isNext ? columns.counts.read() : frames.readUInt32LE(at + COUNT);
  gathering?.begin(isNext ? readWide(frames, before + LAST_REVISION) + count : readWide(frames, at + LAST_REVISION));
  let time = 0;
  let sum: number;
  const hasBodyColumns = (kind & HAS_BODY_COLUMNS) !== 0;
  if (hasBodyColumns) {
    sum = bodies.read(body, count);
    ({ time } = bodies);
  } else {
    const length = isNext ? columns.bodyLengths.read() : frames.readUInt32LE(at + BODY_LENGTH);
    const start = columns.bodies.take(length);
    sum = body + length;
    if (sum <= frames.length) columns.bodies.bytes.copy(frames, body, start, start + length);
  }
  if (sum + FRAME_CHECKSUM_BYTES > frames.length) throw new MalformedColumns('there are more frames than the header says');
  if (isNext) readHeader(frames, { before, at, count, time, bodyLength: sum - body }, columns);
  gathering?.end(at, hasBodyColumns ? time : undefined);
  if ((kind & HAS_CHAIN) !== 0) frames.set(hashBefore(frames, before, at, expected), at + PREVIOUS);
  else copy(columns, frames, at + PREVIOUS, FRAME_HEADER_BYTES - PREVIOUS);
  if ((kind & HAS_CHECKSUM) !== 0) frames.writeUInt32LE(crc32(frames.subarray(at, sum)), sum);
  else copy(columns, frames, sum, FRAME_CHECKSUM_BYTES);
  return sum + FRAME_CHECKSUM_BYTES;
}

/** The hash of the frame from `before` to `at`. That of an equal one stands in what is expected: hashing takes a third of the time. */
function hashBefore(frames: Buffer, before: number, at: number, expected: Buffer | undefined): Uint8Array {
  if (expected === undefined) return hash('sha256', frames.subarray(before, at), 'buffer');
  if (expected.compare(frames, before, at, before, at) !== 0) throw new MalformedColumns('they give other frames');
  return expected.subarray(at + PREVIOUS, at + FRAME_HEADER_BYTES);
}

function copy({ headers }: ColumnReaders, frames: Buffer, at: number, count: number): void {
  const start = headers.take(count);
  headers.bytes.copy(frames, at, start, start + count);
}

interface NextHeader {
  readonly before: number;
  readonly at: number;
  readonly count: number;
  /** Sum of the times in its body. */
  readonly time: number;
  readonly bodyLength: number;
}

function readHeader(frames: Buffer, { before, at, count, time, bodyLength }: NextHeader, columns: ColumnReaders): void {
  copyFew(frames, before, frames, at, BASE);
  copyFew(frames, before + EPOCH, frames, at + BASE, BASE - EPOCH);
  copyFew(frames, before + LAST_REVISION, frames, at + BASE_REVISION, DIGEST - LAST_REVISION);
  writeWide(frames, at + LAST_REVISION, readWide(frames, before + LAST_REVISION) + count);
  const first = readWide(frames, before + LAST_TIME) + columns.firstTimes.read();
  const folded = columns.lastTimes.read();
  writeWide(frames, at + FIRST_TIME, first);
  writeWide(frames, at + LAST_TIME, first + time + (folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2));
  copyFew(columns.digests.bytes, columns.digests.take(FIRST_TIME - DIGEST), frames, at + DIGEST, FIRST_TIME - DIGEST);
  writeWide32(frames, at + COUNT, count);
  writeWide32(frames, at + BODY_LENGTH, bodyLength);
}

/** Of few bytes a loop is faster than a call. */
function copyFew(source: Buffer, start: number, target: Buffer, at: number, count: number): void {
  for (let offset = 0; offset < count; offset++) target[at + offset] = source[start + offset]!;
}

function writeWide(bytes: Buffer, at: number, value: number): void {
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw new MalformedColumns('a number is above 2^53');
  writeWide32(bytes, at, value % 0x1_0000_0000);
  writeWide32(bytes, at + 4, Math.floor(value / 0x1_0000_0000));
}

function writeWide32(bytes: Buffer, at: number, value: number): void {
  if (value > 0xffff_ffff) throw new MalformedColumns('a number is above 2^32');
  bytes.writeUInt32LE(value, at);
}
