import { crc32 } from 'node:zlib';
import type { Mark, SnapshotHeader } from '@evertree/core';
import { unsupported } from '../groups/failure.ts';

/** FORMAT.md, «Snapshot», is normative; this file is its implementation. All numbers are little endian. */
const SNAPSHOT_MAGIC = 0x5354_5645; // "EVTS"
const SNAPSHOT_VERSION = 3;
/** The oldest version that is read. Its epochs have no `end`; marks came with version 3. */
const OLDEST_VERSION = 1;
/** Bytes before the text of the header. */
export const SNAPSHOT_PREFIX_BYTES = 16;
export const CHUNK_PREFIX_BYTES = 8;
export const SNAPSHOT_END_BYTES = 20;
/** The most bytes of a chunk. */
export const CHUNK_LIMIT_BYTES = 224 * 1024 * 1024;
/** The most bytes of the header's text: some thousand epochs and marks. */
const SNAPSHOT_HEADER_LIMIT_BYTES = 16 * 1024 * 1024;
const MARKS_KEY = ',"marks":[';

/** A snapshot's header without its marks, of which there may be thousands. */
export type SnapshotOutline = Omit<SnapshotHeader, 'marks'>;

/** The beginning of a snapshot file. */
export interface SnapshotHead<Header extends SnapshotOutline> {
  readonly header: Header;
  readonly generation: number;
  /** Its bytes in the file, with the checksum. */
  readonly length: number;
}

export interface SnapshotEnd {
  readonly chunks: number;
  /** Bytes of all chunks without their prefixes. */
  readonly bytes: number;
}

export function encodeSnapshotHead(header: SnapshotHeader, generation: number): Buffer {
  const { stream, position, digest, chain, time } = header;
  const ordered = {
    stream,
    position: exact(position),
    digest,
    chain,
    time,
    epochs: header.epochs.map(orderedEpoch),
    marks: header.marks.map(orderedMark),
  };
  const text = Buffer.from(JSON.stringify(ordered), 'utf8');
  const bytes = Buffer.alloc(SNAPSHOT_PREFIX_BYTES + text.length + 4);
  bytes.writeUInt32LE(SNAPSHOT_MAGIC, 0);
  bytes[4] = SNAPSHOT_VERSION;
  bytes.writeUInt32LE(generation, 8);
  bytes.writeUInt32LE(text.length, 12);
  bytes.set(text, SNAPSHOT_PREFIX_BYTES);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, bytes.length - 4)), bytes.length - 4);
  return bytes;
}

/**
 * The length of the head that begins with these bytes; undefined if they begin none.
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export function snapshotHeadLength(prefix: Buffer, file: string): number | undefined {
  if (prefix.length < SNAPSHOT_PREFIX_BYTES || prefix.readUInt32LE(0) !== SNAPSHOT_MAGIC) return undefined;
  const version = prefix[4]!;
  if (version < OLDEST_VERSION || version > SNAPSHOT_VERSION) throw unsupported(file, version, SNAPSHOT_VERSION);
  const text = prefix.readUInt32LE(12);
  return text > SNAPSHOT_HEADER_LIMIT_BYTES ? undefined : SNAPSHOT_PREFIX_BYTES + text + 4;
}

/** @param bytes as many as `snapshotHeadLength` says */
export function decodeSnapshotHead(bytes: Buffer): SnapshotHead<SnapshotHeader> | undefined {
  return decodeHead(bytes, text => {
    const { marks = [], ...outline } = JSON.parse(text.toString()) as SnapshotOutline & Partial<SnapshotHeader>;
    return { ...outline, marks };
  });
}

/**
 * As `decodeSnapshotHead`, but the marks are not even parsed: they stand last.
 * @param bytes as many as `snapshotHeadLength` says
 */
export function decodeSnapshotOutline(bytes: Buffer): SnapshotHead<SnapshotOutline> | undefined {
  return decodeHead(bytes, text => {
    // In a string a quote has a backslash before it, so that this can only be the key.
    const marks = text.indexOf(MARKS_KEY);
    return JSON.parse(marks < 0 ? text.toString() : `${text.toString('utf8', 0, marks)}}`) as SnapshotOutline;
  });
}

function decodeHead<Header extends SnapshotOutline>(bytes: Buffer, decode: (text: Buffer) => Header): SnapshotHead<Header> | undefined {
  const end = bytes.length - 4;
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) return undefined;
  const header = decode(bytes.subarray(SNAPSHOT_PREFIX_BYTES, end));
  return { header, generation: bytes.readUInt32LE(8), length: bytes.length };
}

/** The prefix of a chunk: its length, and a checksum of that length and the chunk. */
export function encodeChunkPrefix(chunk: Uint8Array): Buffer {
  const prefix = Buffer.alloc(CHUNK_PREFIX_BYTES);
  prefix.writeUInt32LE(chunk.length, 0);
  prefix.writeUInt32LE(chunkChecksum(prefix, chunk), 4);
  return prefix;
}

export function chunkChecksum(prefix: Buffer, chunk: Uint8Array): number {
  return crc32(chunk, crc32(prefix.subarray(0, 4)));
}

export function encodeSnapshotEnd(end: SnapshotEnd): Buffer {
  const bytes = Buffer.alloc(SNAPSHOT_END_BYTES);
  bytes.writeUInt32LE(end.chunks, 4);
  bytes.writeBigUInt64LE(BigInt(end.bytes), 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 16)), 16);
  return bytes;
}

export function decodeSnapshotEnd(bytes: Buffer): SnapshotEnd | undefined {
  if (bytes.length < SNAPSHOT_END_BYTES || bytes.readUInt32LE(0) !== 0 || bytes.readUInt32LE(16) !== crc32(bytes.subarray(0, 16))) {
    return undefined;
  }
  return { chunks: bytes.readUInt32LE(4), bytes: Number(bytes.readBigUInt64LE(8)) };
}

function exact(position: SnapshotHeader['position']): SnapshotHeader['position'] {
  const { epoch, epochId, revision } = position;
  return { epoch, epochId, revision };
}

function orderedMark({ name, position, markedAt, time, author, message }: Mark): Mark {
  const note = { ...(author === undefined ? {} : { author }), ...(message === undefined ? {} : { message }) };
  return { name, position: exact(position), markedAt: exact(markedAt), time, ...note };
}

function orderedEpoch(epoch: SnapshotHeader['epochs'][number]): SnapshotHeader['epochs'][number] {
  const { number, id, site, base, reason, time, end } = epoch;
  const ordered = { number, id, site, base: exact(base), reason, time };
  return end === undefined ? ordered : { ...ordered, end: { to: end.to, command: end.command } };
}
