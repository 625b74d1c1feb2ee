import { crc32 } from 'node:zlib';
import type { ExactPosition } from '@evertree/core';

/** FORMAT.md, «Index», is normative; this file is its implementation. All numbers are little endian. */
const RUN_MAGIC = 0x4954_5645; // "EVTI"
const RUN_VERSION = 1;
export const RUN_HEAD_BYTES = 8;
export const RUN_END_BYTES = 20;
const BLOCK_PREFIX_BYTES = 8;
/** A block ends after the entry with which its body has this many bytes. */
export const BLOCK_BYTES = 4_096;
/** An entry ends after the posting with which it has this many bytes of postings. */
export const ENTRY_BYTES = 1_024;
/** A description longer than this is taken for damage: some hundred segments and epochs. */
const DESCRIPTION_LIMIT_BYTES = 16 * 1024 * 1024;
/** So is a block: a key has 3 MiB at most. */
const BLOCK_LIMIT_BYTES = 64 * 1024 * 1024;

/** A chunk of a body ends with so many change sets that begin in it, operations, or bytes. */
export const CHUNK_CHANGE_SETS = 64;
export const CHUNK_OPERATIONS = 256;
export const CHUNK_BYTES = 16_384;

export const INDEX_DIRECTORY = 'index';
const RUN_SUFFIX = '.evi';

/** Where a block lies in its run. */
export interface BlockPlace {
  readonly offset: number;
  /** With its length and checksum. */
  readonly bytes: number;
}

/** A segment that holds frames of a run. */
export interface RunSegment {
  /** Its file in `journal/`. */
  readonly name: string;
  readonly salt: number;
  /** The revision of its base. */
  readonly base: number;
  /** Where in the file the record of the run's first frame in it begins. */
  readonly offset: number;
}

/** The revision after which an epoch number holds. */
export interface RunEpoch {
  readonly after: number;
  readonly number: number;
}

/** What a run says of itself. */
export interface RunDescription {
  readonly stream: string;
  readonly generation: number;
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  readonly segments: readonly RunSegment[];
  readonly epochs: readonly RunEpoch[];
  /** For each depth of a path, from 0, the count of operations on paths of that depth. */
  readonly depths: readonly number[];
  /** The root block of each tree; undefined for one without entries. */
  readonly touches?: BlockPlace | undefined;
  readonly frames?: BlockPlace | undefined;
}

/** A file in `index/` that can't be used, and why. */
export class UnsoundRun extends Error {
  override name = 'UnsoundRun';
  readonly file: string;
  /** The message without the file. */
  readonly problem: string;

  constructor(file: string, problem: string) {
    super(`${file}: ${problem}`);
    this.file = file;
    this.problem = problem;
  }
}

export function runPath(base: ExactPosition, last: ExactPosition): string {
  return `${INDEX_DIRECTORY}/${nameOf(base)}-${nameOf(last)}${RUN_SUFFIX}`;
}

export function isRunName(name: string): boolean {
  return /^\d{10}-\d{16}-\d{10}-\d{16}\.evi$/.test(name);
}

function nameOf({ epoch, revision }: ExactPosition): string {
  return `${String(epoch).padStart(10, '0')}-${String(revision).padStart(16, '0')}`;
}

export function encodeRunHead(): Buffer {
  const head = Buffer.alloc(RUN_HEAD_BYTES);
  head.writeUInt32LE(RUN_MAGIC, 0);
  head[4] = RUN_VERSION;
  return head;
}

/** @throws UnsoundRun */
export function checkRunHead(file: string, head: Buffer): void {
  if (head.length < RUN_HEAD_BYTES || head.readUInt32LE(0) !== RUN_MAGIC) throw new UnsoundRun(file, 'it is no run of an index');
  if (head[4] !== RUN_VERSION)
    throw new UnsoundRun(file, `it has format version ${head[4]}, and this program reads version ${RUN_VERSION}`);
  if (!head.equals(encodeRunHead())) throw new UnsoundRun(file, 'its head is damaged');
}

export function encodeRunEnd(offset: number, description: Buffer): Buffer {
  const end = Buffer.alloc(RUN_END_BYTES);
  end.writeBigUInt64LE(BigInt(offset), 0);
  end.writeUInt32LE(description.length, 8);
  end.writeUInt32LE(crc32(description), 12);
  end.writeUInt32LE(crc32(end.subarray(0, 16)), 16);
  return end;
}

/** Where the description of a run lies. @throws UnsoundRun */
export function decodeRunEnd(file: string, end: Buffer, size: number): BlockPlace & { readonly checksum: number } {
  if (end.length < RUN_END_BYTES || end.readUInt32LE(16) !== crc32(end.subarray(0, 16))) throw new UnsoundRun(file, 'its end is damaged');
  const offset = Number(end.readBigUInt64LE(0));
  const bytes = end.readUInt32LE(8);
  if (bytes > DESCRIPTION_LIMIT_BYTES || offset + bytes + RUN_END_BYTES !== size)
    throw new UnsoundRun(file, 'its end is that of another file');
  return { offset, bytes, checksum: end.readUInt32LE(12) };
}

export function encodeDescription(description: RunDescription): Buffer {
  const { stream, generation, base, last, segments, epochs, depths, touches, frames } = description;
  return Buffer.from(
    JSON.stringify({
      stream,
      generation,
      base: exact(base),
      last: exact(last),
      segments: segments.map(segment => ({ name: segment.name, salt: segment.salt, base: segment.base, offset: segment.offset })),
      epochs: epochs.map(({ after, number }) => ({ after, number })),
      depths,
      touches: touches === undefined ? undefined : { offset: touches.offset, bytes: touches.bytes },
      frames: frames === undefined ? undefined : { offset: frames.offset, bytes: frames.bytes },
    }),
  );
}

function exact({ epoch, epochId, revision }: ExactPosition): ExactPosition {
  return { epoch, epochId, revision };
}

/** @throws UnsoundRun */
export function decodeDescription(file: string, bytes: Buffer, checksum: number): RunDescription {
  if (crc32(bytes) !== checksum) throw new UnsoundRun(file, 'its description is damaged');
  const description = JSON.parse(bytes.toString('utf8')) as RunDescription;
  if (runPath(description.base, description.last) !== file) throw new UnsoundRun(file, 'it is named after other positions than its own');
  return description;
}

/** The body of a block with its length and checksum. */
export function encodeBlock(offset: number, body: Uint8Array): Buffer {
  const block = Buffer.allocUnsafeSlow(BLOCK_PREFIX_BYTES + body.length);
  block.writeUInt32LE(body.length, 0);
  block.set(body, BLOCK_PREFIX_BYTES);
  block.writeUInt32LE(blockChecksum(offset, block.subarray(BLOCK_PREFIX_BYTES)), 4);
  return block;
}

/** The body of the block that was read at a place. @throws UnsoundRun */
export function decodeBlock(file: string, place: BlockPlace, block: Buffer): Buffer {
  const body = block.subarray(BLOCK_PREFIX_BYTES);
  const isSound =
    block.length === place.bytes &&
    block.length > BLOCK_PREFIX_BYTES &&
    block.readUInt32LE(0) === body.length &&
    block.readUInt32LE(4) === blockChecksum(place.offset, body);
  if (!isSound) throw new UnsoundRun(file, `the block at offset ${place.offset} is damaged`);
  return body;
}

/** @throws UnsoundRun where no block can lie */
export function checkPlace(file: string, { offset, bytes }: BlockPlace): void {
  if (offset >= RUN_HEAD_BYTES && bytes > BLOCK_PREFIX_BYTES && bytes <= BLOCK_LIMIT_BYTES) return;
  throw new UnsoundRun(file, `no block can lie at offset ${offset}`);
}

const PLACE = Buffer.alloc(8);

function blockChecksum(offset: number, body: Uint8Array): number {
  PLACE.writeUInt32LE(offset % 0x1_0000_0000, 0);
  PLACE.writeUInt32LE(Math.floor(offset / 0x1_0000_0000), 4);
  return crc32(body, crc32(PLACE));
}
