import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { EvertreeError } from '../errors.ts';
import type { ExactPosition } from '../position.ts';

/**
 * A frame: a batch of change sets, encoded once. The same bytes are in the primary's journal, on every wire and in the
 * secondary's journal. FORMAT.md, «Frame», is normative; this file is its implementation.
 */
export interface Frame {
  readonly header: FrameHeader;
  /** Header, body and checksum. */
  readonly bytes: Uint8Array;
}

export type BodyCodec = 'binary' | 'json';

export interface FrameHeader {
  readonly codec: BodyCodec;
  /** Whether this frame begins its epoch. A restart entry has the number of its base, and another id. */
  readonly beginsEpoch: boolean;
  /** Whether this is a handover frame, the last of its epoch. */
  readonly endsEpoch: boolean;
  /** Whether this is a mark frame: it sets or removes a mark. */
  readonly isMark: boolean;
  /** 32 hex digits. */
  readonly stream: string;
  readonly epoch: number;
  readonly epochId: string;
  /** The position this frame follows. */
  readonly base: ExactPosition;
  /** The position after it. */
  readonly last: ExactPosition;
  /** Digest of the tree after it, 16 hex digits. */
  readonly digest: string;
  /** Commit times of its first and last change set, milliseconds since 1970. */
  readonly firstTime: number;
  readonly lastTime: number;
  /** Change sets in it; `last.revision - base.revision`. */
  readonly count: number;
  /** SHA-256 of the frame before it, 64 hex digits; zeros for a stream's first frame. */
  readonly previous: string;
  readonly bodyLength: number;
}

export const FRAME_MAGIC = 0x4654_5645; // "EVTF", little endian
export const FRAME_VERSION = 3;
/** The oldest version that is read. It has no handover frames and no restart entries; marks came with version 3. */
const OLDEST_VERSION = 1;
export const FRAME_HEADER_BYTES = 128;
export const FRAME_CHECKSUM_BYTES = 4;
/** Largest frame, in bytes: one change set of the largest size and its header. */
export const FRAME_LIMIT_BYTES = 256 * 1024 * 1024;
export const NO_CHAIN = '0'.repeat(64);

const BEGINS_EPOCH = 1;
const ENDS_EPOCH = 2;
const IS_MARK = 4;
/** The flags that each version knows. */
const KNOWN_FLAGS: readonly number[] = [0, BEGINS_EPOCH, BEGINS_EPOCH | ENDS_EPOCH, BEGINS_EPOCH | ENDS_EPOCH | IS_MARK];
const CODECS = { binary: 1, json: 2 } as const;

/** What a body ends with, encoded ahead. Its memory becomes that of the frame: it is for one. */
export interface BodyRest {
  /** Has room before the rest, for the header and what precedes the rest in the body, and behind it for the checksum. */
  readonly memory: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Room before a rest: for the header, and for the head of a change set with a short author and message. */
export const ROOM_BYTES = FRAME_HEADER_BYTES + 896;

/** Puts header, body and checksum together. The body is copied. @param rest what follows in the body; it is not copied if its room is enough */
export function sealFrame(header: FrameHeader, body: Uint8Array, rest?: BodyRest): Frame {
  const bodyLength = body.length + (rest === undefined ? 0 : rest.to - rest.from);
  const bytes = memoryOf(bodyLength, body.length, rest);
  bytes.writeUInt32LE(FRAME_MAGIC, 0);
  bytes[4] = FRAME_VERSION;
  bytes[5] = CODECS[header.codec];
  bytes.writeUInt16LE((header.beginsEpoch ? BEGINS_EPOCH : 0) | (header.endsEpoch ? ENDS_EPOCH : 0) | (header.isMark ? IS_MARK : 0), 6);
  bytes.write(header.stream, 8, 16, 'hex');
  bytes.writeUInt32LE(header.epoch, 24);
  bytes.write(header.epochId, 28, 8, 'hex');
  bytes.writeUInt32LE(header.base.epoch, 36);
  bytes.write(header.base.epochId, 40, 8, 'hex');
  writeUint64(bytes, header.base.revision, 48);
  writeUint64(bytes, header.last.revision, 56);
  bytes.write(header.digest, 64, 8, 'hex');
  writeUint64(bytes, header.firstTime, 72);
  writeUint64(bytes, header.lastTime, 80);
  bytes.writeUInt32LE(header.count, 88);
  bytes.writeUInt32LE(bodyLength, 92);
  bytes.write(header.previous, 96, 32, 'hex');
  bytes.set(body, FRAME_HEADER_BYTES);
  const end = FRAME_HEADER_BYTES + bodyLength;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end);
  return { header, bytes };
}

/** The bytes of a frame, of which only the rest is written. */
function memoryOf(bodyLength: number, written: number, rest: BodyRest | undefined): Buffer {
  const length = FRAME_HEADER_BYTES + bodyLength + FRAME_CHECKSUM_BYTES;
  if (rest === undefined) return Buffer.allocUnsafeSlow(length);
  const from = rest.from - written - FRAME_HEADER_BYTES;
  if (from >= 0) return rest.memory.subarray(from, from + length);
  const bytes = Buffer.allocUnsafeSlow(length);
  bytes.set(rest.memory.subarray(rest.from, rest.to), FRAME_HEADER_BYTES + written);
  return bytes;
}

/**
 * Reads a frame and checks its checksum.
 * @param bytes exactly one frame. The frame refers to them: they are not copied
 * @throws EvertreeError FORMAT_INVALID (magic, lengths, checksum, fields that contradict each other),
 *   FORMAT_UNSUPPORTED (version, codec)
 */
export function parseFrame(bytes: Uint8Array): Frame {
  const length = frameLength(bytes);
  if (length !== bytes.length) {
    throw new EvertreeError('FORMAT_INVALID', `a frame says that it has ${length} bytes, but there are ${bytes.length}`);
  }
  const buffer = asBuffer(bytes);
  const end = length - FRAME_CHECKSUM_BYTES;
  const found = crc32(buffer.subarray(0, end));
  const expected = buffer.readUInt32LE(end);
  if (found !== expected) {
    throw new EvertreeError('FORMAT_INVALID', `a frame's checksum is ${hex32(found)}, but it says ${hex32(expected)}`);
  }
  return { header: parseHeader(buffer), bytes };
}

/**
 * The length of the frame that begins in `bytes`, from its first FRAME_HEADER_BYTES.
 * @throws EvertreeError FORMAT_INVALID, FORMAT_UNSUPPORTED
 */
export function frameLength(bytes: Uint8Array): number {
  const buffer = asBuffer(bytes);
  if (buffer.length < FRAME_HEADER_BYTES + FRAME_CHECKSUM_BYTES || buffer.readUInt32LE(0) !== FRAME_MAGIC) {
    throw new EvertreeError('FORMAT_INVALID', 'these bytes are not a frame');
  }
  const version = buffer[4]!;
  if (version < OLDEST_VERSION || version > FRAME_VERSION) {
    const known = `this program reads the versions ${OLDEST_VERSION} to ${FRAME_VERSION}`;
    throw new EvertreeError('FORMAT_UNSUPPORTED', `a frame has format version ${version}; ${known}`);
  }
  const length = FRAME_HEADER_BYTES + buffer.readUInt32LE(92) + FRAME_CHECKSUM_BYTES;
  if (length > FRAME_LIMIT_BYTES) {
    throw new EvertreeError('FORMAT_INVALID', `a frame says that it has ${length} bytes; the limit is ${FRAME_LIMIT_BYTES}`);
  }
  return length;
}

/**
 * The header of the frame that begins in `bytes`. Body and checksum are not read and may be missing.
 * @throws EvertreeError FORMAT_INVALID, FORMAT_UNSUPPORTED
 */
export function readFrameHeader(bytes: Uint8Array): FrameHeader {
  frameLength(bytes);
  return parseHeader(asBuffer(bytes));
}

/** The frame's encoded change sets. */
export function frameBody(frame: Frame): Buffer {
  return asBuffer(frame.bytes).subarray(FRAME_HEADER_BYTES, frame.bytes.length - FRAME_CHECKSUM_BYTES);
}

/** SHA-256 of the whole frame, 64 hex digits: the next frame names it as `previous`. */
export function frameHash(frame: Frame): string {
  return hash('sha256', frame.bytes, 'hex');
}

function parseHeader(buffer: Buffer): FrameHeader {
  const codec = buffer[5] === CODECS.binary ? 'binary' : buffer[5] === CODECS.json ? 'json' : undefined;
  if (codec === undefined) throw new EvertreeError('FORMAT_UNSUPPORTED', `a frame has the unknown body codec ${buffer[5]}`);
  const flags = buffer.readUInt16LE(6);
  const version = buffer[4]!;
  if ((flags & ~KNOWN_FLAGS[version]!) !== 0) throw new EvertreeError('FORMAT_UNSUPPORTED', `a frame has unknown flags (${flags})`);
  const epoch = buffer.readUInt32LE(24);
  const epochId = buffer.toString('hex', 28, 36);
  const base = { epoch: buffer.readUInt32LE(36), epochId: buffer.toString('hex', 40, 48), revision: readUint64(buffer, 48) };
  const last = { epoch, epochId, revision: readUint64(buffer, 56) };
  const beginsEpoch = (flags & BEGINS_EPOCH) !== 0;
  const endsEpoch = (flags & ENDS_EPOCH) !== 0;
  const count = buffer.readUInt32LE(88);
  const isMark = (flags & IS_MARK) !== 0;
  const isSound = last.revision === base.revision + count && (beginsEpoch ? begins(base, last, version) : continues(base, last));
  const hasOneFlag = flags === BEGINS_EPOCH || flags === ENDS_EPOCH || flags === IS_MARK;
  if (!isSound || count === 0 || (flags !== 0 && (!hasOneFlag || count !== 1))) {
    const details = { base, last, count, beginsEpoch, endsEpoch, isMark };
    throw new EvertreeError('FORMAT_INVALID', "a frame's positions contradict each other", details);
  }
  return {
    codec,
    beginsEpoch,
    endsEpoch,
    isMark,
    stream: buffer.toString('hex', 8, 24),
    epoch,
    epochId,
    base,
    last,
    digest: buffer.toString('hex', 64, 72),
    firstTime: readUint64(buffer, 72),
    lastTime: readUint64(buffer, 80),
    count,
    previous: buffer.toString('hex', 96, 128),
    bodyLength: buffer.readUInt32LE(92),
  };
}

function continues(base: ExactPosition, last: ExactPosition): boolean {
  return last.epoch === base.epoch && last.epochId === base.epochId;
}

/** Whether a frame on `base` may begin the epoch of `last`. */
function begins(base: ExactPosition, last: ExactPosition, version: number): boolean {
  if (last.epoch > base.epoch) return true;
  return version > OLDEST_VERSION && last.epoch > 0 && last.epoch === base.epoch && last.epochId !== base.epochId;
}

function writeUint64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(value % 0x1_0000_0000, offset);
  buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), offset + 4);
}

function readUint64(buffer: Buffer, offset: number): number {
  const value = buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 0x1_0000_0000;
  if (!Number.isSafeInteger(value)) throw new EvertreeError('FORMAT_INVALID', 'a frame holds a number above 2^53');
  return value;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}
