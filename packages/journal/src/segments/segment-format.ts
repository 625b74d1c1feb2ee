import { crc32 } from 'node:zlib';
import type { ExactPosition } from '@evertree/core';
import { unsupported } from '../groups/failure.ts';
import type { IndexEntry } from './sparse-index.ts';

/** FORMAT.md, «Segment», is normative; this file is its implementation. All numbers are little endian. */
const SEGMENT_MAGIC = 0x4a54_5645; // "EVTJ"
const SEGMENT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 64;
export const RECORD_MAGIC = 0x5254_5645; // "EVTR"
export const RECORD_HEADER_BYTES = 40;
const SEAL_MAGIC = 0x4c54_5645; // "EVTL"
const SEAL_HEADER_BYTES = 48;
const SEAL_ENTRY_BYTES = 24;
export const SEAL_FOOTER_BYTES = 8;

export interface SegmentHeader {
  /** 32 hex digits. */
  readonly stream: string;
  /** The position that the first frame follows. */
  readonly base: ExactPosition;
  /**
   * Random, one for each file. Bytes that look like a record but have another salt are part of a value, not a record.
   */
  readonly salt: number;
  /** Counts how often a snapshot replaced this site's history. Files of a lower generation are leftovers. */
  readonly generation: number;
}

export interface RecordHeader {
  readonly frameLength: number;
  readonly trailerLength: number;
  /** The offset at which this record's group begins. */
  readonly groupStart: number;
  readonly trailerChecksum: number;
}

/** The end of a segment that takes no more records. */
export interface Seal {
  readonly last: ExactPosition;
  readonly lastTime: number;
  readonly entries: readonly IndexEntry[];
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.writeUInt32LE(SEGMENT_MAGIC, 0);
  bytes[4] = SEGMENT_VERSION;
  bytes.write(header.stream, 8, 16, 'hex');
  bytes.writeUInt32LE(header.base.epoch, 24);
  bytes.write(header.base.epochId, 28, 8, 'hex');
  bytes.writeUInt32LE(header.salt, 36);
  bytes.writeBigUInt64LE(BigInt(header.base.revision), 40);
  bytes.writeUInt32LE(header.generation, 48);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  return bytes;
}

/**
 * @returns undefined when these bytes are no header
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export function decodeSegmentHeader(bytes: Buffer, file: string): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.readUInt32LE(0) !== SEGMENT_MAGIC) return undefined;
  if (bytes[4] !== SEGMENT_VERSION) throw unsupported(file, bytes[4], SEGMENT_VERSION);
  if (bytes.readUInt32LE(60) !== crc32(bytes.subarray(0, 60))) return undefined;
  return {
    stream: bytes.toString('hex', 8, 24),
    base: { epoch: bytes.readUInt32LE(24), epochId: bytes.toString('hex', 28, 36), revision: Number(bytes.readBigUInt64LE(40)) },
    salt: bytes.readUInt32LE(36),
    generation: bytes.readUInt32LE(48),
  };
}

/** Encodes the header of a record that will stand at `offset` of its file. */
export function encodeRecordHeader(into: Buffer, at: number, header: RecordHeader, offset: number, salt: number): void {
  into.writeUInt32LE(RECORD_MAGIC, at);
  into.writeUInt32LE(salt, at + 4);
  into.writeUInt32LE(header.frameLength, at + 8);
  into.writeUInt32LE(header.trailerLength, at + 12);
  into.writeBigUInt64LE(BigInt(offset), at + 16);
  into.writeBigUInt64LE(BigInt(header.groupStart), at + 24);
  into.writeUInt32LE(header.trailerChecksum, at + 32);
  into.writeUInt32LE(crc32(into.subarray(at, at + 36)), at + 36);
}

/** @returns undefined if the bytes are no record header of that file at that offset */
export function decodeRecordHeader(bytes: Buffer, offset: number, salt: number): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES || bytes.readUInt32LE(0) !== RECORD_MAGIC || bytes.readUInt32LE(4) !== salt) return undefined;
  if (bytes.readUInt32LE(36) !== crc32(bytes.subarray(0, 36)) || Number(bytes.readBigUInt64LE(16)) !== offset) return undefined;
  return {
    frameLength: bytes.readUInt32LE(8),
    trailerLength: bytes.readUInt32LE(12),
    groupStart: Number(bytes.readBigUInt64LE(24)),
    trailerChecksum: bytes.readUInt32LE(32),
  };
}

export function encodeSeal(seal: Seal, offset: number, salt: number): Buffer {
  const length = SEAL_HEADER_BYTES + seal.entries.length * SEAL_ENTRY_BYTES + SEAL_FOOTER_BYTES;
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(SEAL_MAGIC, 0);
  bytes.writeUInt32LE(salt, 4);
  bytes.writeBigUInt64LE(BigInt(offset), 8);
  bytes.writeUInt32LE(seal.last.epoch, 16);
  bytes.write(seal.last.epochId, 20, 8, 'hex');
  bytes.writeUInt32LE(seal.entries.length, 28);
  bytes.writeBigUInt64LE(BigInt(seal.last.revision), 32);
  bytes.writeBigUInt64LE(BigInt(seal.lastTime), 40);
  let at = SEAL_HEADER_BYTES;
  for (const entry of seal.entries) {
    bytes.writeBigUInt64LE(BigInt(entry.revision), at);
    bytes.writeBigUInt64LE(BigInt(entry.offset), at + 8);
    bytes.writeBigUInt64LE(BigInt(entry.time), at + 16);
    at += SEAL_ENTRY_BYTES;
  }
  bytes.writeUInt32LE(length, at);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, at + 4)), at + 4);
  return bytes;
}

/**
 * @param footer the last SEAL_FOOTER_BYTES of a file
 * @returns how many bytes before the end of the file a seal would begin
 */
export function sealLength(footer: Buffer): number {
  return footer.readUInt32LE(0);
}

/** @returns undefined if the bytes are no seal of that file at that offset */
export function decodeSeal(bytes: Buffer, offset: number, salt: number): Seal | undefined {
  if (bytes.length < SEAL_HEADER_BYTES + SEAL_FOOTER_BYTES || bytes.readUInt32LE(0) !== SEAL_MAGIC) return undefined;
  if (bytes.readUInt32LE(bytes.length - 4) !== crc32(bytes.subarray(0, bytes.length - 4))) return undefined;
  if (bytes.readUInt32LE(4) !== salt || Number(bytes.readBigUInt64LE(8)) !== offset) return undefined;
  const count = bytes.readUInt32LE(28);
  if (SEAL_HEADER_BYTES + count * SEAL_ENTRY_BYTES + SEAL_FOOTER_BYTES !== bytes.length) return undefined;
  const entries: IndexEntry[] = [];
  for (let at = SEAL_HEADER_BYTES; entries.length < count; at += SEAL_ENTRY_BYTES) {
    entries.push({
      revision: Number(bytes.readBigUInt64LE(at)),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      time: Number(bytes.readBigUInt64LE(at + 16)),
    });
  }
  return {
    last: { epoch: bytes.readUInt32LE(16), epochId: bytes.toString('hex', 20, 28), revision: Number(bytes.readBigUInt64LE(32)) },
    lastTime: Number(bytes.readBigUInt64LE(40)),
    entries,
  };
}
