import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { EvertreeError, type NetChanges } from '@evertree/core';
import type { Opening, Sealing } from '../encryption/sealing.ts';
import { damagedObject } from './checked.ts';
import { MalformedColumns } from './column-reader.ts';
import { columnsLimit, decodeColumns, decodeGathering, encodeColumns } from './frame-columns.ts';
import type { RevisionSpan } from './gathering.ts';
import { releaseMemory } from './memory.ts';
import {
  encodeFramesHeader,
  encodeImagePartHeader,
  parseFramesHeader,
  parseImagePartHeader,
  type FramesHeader,
  type ImagePartHeader,
} from './object-header.ts';

/** ARCHIVE.md, «Sealed object», is normative; this file is its implementation. */
const OBJECT_MAGIC = 0x4154_5645; // "EVTA"
const OBJECT_VERSION = 1;
const PREFIX_BYTES = 12;
const SUM_BYTES = 32;
const KINDS = { frames: 1, image: 2 } as const;
const IS_COMPRESSED = 1;
const IS_ENCRYPTED = 2;
const IS_IN_COLUMNS = 4;
const KNOWN_FLAGS = IS_COMPRESSED | IS_ENCRYPTED | IS_IN_COLUMNS;

/** Frames or chunks of an object before they are compressed; one longer frame or chunk makes a longer object. */
export const OBJECT_PLAIN_BYTES = 8 * 1024 * 1024;
/** DESIGN.md, «Sealing», has the measurements. */
const COMPRESSION_LEVEL = 3;

/** Of fewer bytes of frames both are made, and the shorter one is taken: columns of little may be longer. */
const CERTAIN_BYTES = 64 * 1024;

const LEAST_PIECE_BYTES = 1_024;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** What is to be sealed: frames, one after the other, or chunks of an image (image-payload.ts). */
export type UnsealedObject = (
  | { readonly kind: 'frames'; readonly header: FramesHeader }
  | { readonly kind: 'image'; readonly header: ImagePartHeader }
) & {
  /** The payload in pieces; together `header.plainBytes`. */
  readonly parts: readonly Uint8Array[];
};

export interface SealedObject {
  readonly bytes: Buffer;
  /** The sum at its end, 64 hex digits. */
  readonly sha256: string;
}

/** A sealed object's head: all that can be read without an identity. */
export type ObjectHead = (
  | { readonly kind: 'frames'; readonly header: FramesHeader }
  | { readonly kind: 'image'; readonly header: ImagePartHeader }
) & {
  readonly isCompressed: boolean;
  readonly isEncrypted: boolean;
  readonly isInColumns: boolean;
  /** Where the payload begins. */
  readonly start: number;
  readonly sha256: string;
};

export type OpenedObject = ObjectHead & {
  readonly payload: Buffer;
  /** What frames of a span change altogether, where that was asked for and can be told. */
  readonly changes?: NetChanges | undefined;
};

/** Compresses, encrypts and sums up. */
export async function sealObject(object: UnsealedObject, sealing: Sealing): Promise<SealedObject> {
  const plain = object.parts.length === 1 ? object.parts[0]! : Buffer.concat(object.parts);
  if (plain.length !== object.header.plainBytes) {
    throw new EvertreeError('FORMAT_INVALID', `a payload has ${plain.length} bytes, and its header says ${object.header.plainBytes}`);
  }
  const packed = await pack(object.kind, plain);
  const payload = sealing === 'plain' ? packed.bytes : await sealing.encrypt(packed.bytes);
  const sealed = assemble(object, packed.flags | (sealing === 'plain' ? 0 : IS_ENCRYPTED), payload);
  // What was made on the way; the caller's own bytes stay.
  for (const bytes of [plain, packed.bytes, payload]) if (!object.parts.includes(bytes)) releaseMemory(bytes);
  return sealed;
}

/** A payload as it is stored, unless it is encrypted yet. */
interface PackedPayload {
  readonly bytes: Uint8Array;
  readonly flags: number;
}

async function pack(kind: UnsealedObject['kind'], plain: Uint8Array): Promise<PackedPayload> {
  const columns = kind === 'frames' ? encodeColumns(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength)) : undefined;
  if (columns === undefined) return compressed(plain, 0);
  const short = await compressed(columns, IS_IN_COLUMNS);
  if (short.bytes !== columns) releaseMemory(columns);
  if (plain.length >= CERTAIN_BYTES && short.bytes.length < plain.length) return short;
  const other = await compressed(plain, 0);
  const [taken, left] = short.bytes.length < other.bytes.length ? [short, other] : [other, short];
  if (left.bytes !== plain) releaseMemory(left.bytes);
  return taken;
}

async function compressed(content: Uint8Array, flags: number): Promise<PackedPayload> {
  const params = { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL };
  // One piece of output takes one turn of another thread; by default there is one for each 16 KiB.
  const chunkSize = pieceBytes(compressedBound(content.length));
  const bytes = await compress(content, { params, pledgedSrcSize: content.length, chunkSize });
  if (bytes.length < content.length) return { bytes, flags: flags | IS_COMPRESSED };
  releaseMemory(bytes);
  return { bytes: content, flags };
}

/** With room for all of it the output is one piece, and no copy of several. */
function compressedBound(length: number): number {
  return length + Math.ceil(length / 256) + 1024;
}

function assemble(object: UnsealedObject, flags: number, payload: Uint8Array): SealedObject {
  const text = object.kind === 'frames' ? encodeFramesHeader(object.header) : encodeImagePartHeader(object.header);
  const header = Buffer.from(text, 'utf8');
  const start = PREFIX_BYTES + header.length;
  const bytes = Buffer.allocUnsafeSlow(start + payload.length + SUM_BYTES);
  bytes.writeUInt32LE(OBJECT_MAGIC, 0);
  bytes[4] = OBJECT_VERSION;
  bytes[5] = KINDS[object.kind];
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(header.length, 8);
  bytes.set(header, PREFIX_BYTES);
  bytes.set(payload, start);
  const sum = sumOf(bytes);
  bytes.set(sum, start + payload.length);
  return { bytes, sha256: sum.toString('hex') };
}

/**
 * Reads the head of an object, and checks the sum of all of it.
 * @param name its key, for errors
 * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED
 */
export function readObjectHead(bytes: Buffer, name: string): ObjectHead {
  if (bytes.length < PREFIX_BYTES + SUM_BYTES || bytes.readUInt32LE(0) !== OBJECT_MAGIC) {
    throw damagedObject(name, `its ${bytes.length} bytes are no object of an archive`);
  }
  const found = sumOf(bytes).toString('hex');
  const expected = bytes.toString('hex', bytes.length - SUM_BYTES);
  if (found !== expected) throw damagedObject(name, `its sum is ${found}, where it says ${expected}`, { expected, found });
  const version = bytes[4]!;
  const flags = bytes.readUInt16LE(6);
  if (version !== OBJECT_VERSION || (flags & ~KNOWN_FLAGS) !== 0) {
    const message = `${name} has the format version ${version} and the flags ${flags}; this program reads version ${OBJECT_VERSION}`;
    throw new EvertreeError('FORMAT_UNSUPPORTED', message, { object: name, version, flags });
  }
  const start = PREFIX_BYTES + bytes.readUInt32LE(8);
  if (start > bytes.length - SUM_BYTES) throw damagedObject(name, 'its header is longer than the object');
  const text = bytes.toString('utf8', PREFIX_BYTES, start);
  const isInColumns = (flags & IS_IN_COLUMNS) !== 0;
  const common = {
    isCompressed: (flags & IS_COMPRESSED) !== 0,
    isEncrypted: (flags & IS_ENCRYPTED) !== 0,
    start,
    sha256: found,
    isInColumns,
  };
  if (bytes[5] === KINDS.frames) return { kind: 'frames', header: parseFramesHeader(text, name), ...common };
  if (isInColumns) throw damagedObject(name, 'it is in columns, and it has no frames');
  if (bytes[5] === KINDS.image) return { kind: 'image', header: parseImagePartHeader(text, name), ...common };
  throw damagedObject(name, `it has the unknown kind ${bytes[5]}`);
}

/**
 * Opens an object whole.
 * @param name its key, for errors
 * @param span of the frames whose changes are gathered
 * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED, IDENTITY_NEEDED
 */
export async function openObject(bytes: Buffer, opening: Opening, name: string, span?: RevisionSpan): Promise<OpenedObject> {
  return openContent(bytes, readObjectHead(bytes, name), opening, name, span);
}

/** The same, of an object whose head was read: the sum is not made again. */
export async function openContent(
  bytes: Buffer,
  head: ObjectHead,
  opening: Opening,
  name: string,
  span?: RevisionSpan,
): Promise<OpenedObject> {
  const stored = bytes.subarray(head.start, bytes.length - SUM_BYTES);
  const content = head.isEncrypted ? await decrypt(stored, opening, name) : stored;
  const { plainBytes } = head.header;
  const packedBytes = head.isInColumns ? columnsLimit(plainBytes) : plainBytes;
  const unpacked = head.isCompressed ? await inflate(content, { most: packedBytes, expected: plainBytes }, name) : content;
  const { frames: payload, changes } = head.isInColumns
    ? framesOf(unpacked, plainBytes, name, span)
    : { frames: unpacked, changes: undefined };
  if (head.isInColumns && head.isCompressed) releaseMemory(unpacked);
  if (payload.length === head.header.plainBytes) return { ...head, payload, changes };
  throw damagedObject(name, `its payload has ${payload.length} bytes, where its header says ${head.header.plainBytes}`);
}

async function decrypt(stored: Buffer, opening: Opening, name: string): Promise<Buffer> {
  if (opening !== undefined) return opening.decrypt(stored, name);
  const message = `${name} is encrypted; give the identity of one of the archive's recipients, on the command line with --identity FILE`;
  throw new EvertreeError('IDENTITY_NEEDED', message, { object: name });
}

function framesOf(
  columns: Buffer,
  plainBytes: number,
  name: string,
  span: RevisionSpan | undefined,
): { readonly frames: Buffer; readonly changes: NetChanges | undefined } {
  try {
    if (span !== undefined) return decodeGathering(columns, plainBytes, span);
    return { frames: decodeColumns(columns, plainBytes), changes: undefined };
  } catch (error) {
    if (!(error instanceof MalformedColumns)) throw error;
    throw damagedObject(name, `its columns are not what frames give: ${error.message}`, {}, error);
  }
}

async function inflate(content: Buffer, { most, expected }: { most: number; expected: number }, name: string): Promise<Buffer> {
  try {
    return await decompress(content, {
      maxOutputLength: Math.max(1, most),
      chunkSize: pieceBytes(1 + Math.min(most, contentBytes(content) ?? expected)),
    });
  } catch (error) {
    throw damagedObject(name, `it can't be decompressed to the ${most} bytes that its header says`, {}, error);
  }
}

/** The first bytes of what zstd made, and the flag for content that has one piece. */
const ZSTD_MAGIC = 0xfd2f_b528;
const IS_SINGLE_SEGMENT = 32;

/** How long the content is that was compressed, as RFC 8878, «Frame_Header», has it; undefined if it does not say. */
function contentBytes(bytes: Buffer): number | undefined {
  if (bytes.length < 18 || bytes.readUInt32LE(0) !== ZSTD_MAGIC) return undefined;
  const flags = bytes[4]!;
  const isSingle = (flags & IS_SINGLE_SEGMENT) !== 0;
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][flags & 3]!;
  switch (flags >>> 6) {
    case 0:
      return isSingle ? bytes[at] : undefined;
    case 1:
      return bytes.readUInt16LE(at) + 256;
    case 2:
      return bytes.readUInt32LE(at);
    default:
      return Number(bytes.readBigUInt64LE(at));
  }
}

/** The output of zstd comes in pieces of this length. With one that is full another one is taken. */
function pieceBytes(expected: number): number {
  return Math.max(LEAST_PIECE_BYTES, expected);
}

function sumOf(bytes: Buffer): Buffer {
  return createHash('sha256')
    .update(bytes.subarray(0, bytes.length - SUM_BYTES))
    .digest();
}
