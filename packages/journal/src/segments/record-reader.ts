import { crc32 } from 'node:zlib';
import type { DiskFile, Frame } from '@evertree/core';
import { fillBuffer, FRAME_CHECKSUM_BYTES, FRAME_HEADER_BYTES, FRAME_LIMIT_BYTES, isEvertreeError, parseFrame } from '@evertree/core';
import { decodeRecordHeader, RECORD_HEADER_BYTES } from './segment-format.ts';

/** Bytes of one read from a segment. A longer record takes one longer read. */
export const READ_BYTES = 512 * 1024;
/** The longest trailer: the site's own note beside a frame. */
export const TRAILER_LIMIT_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);

/**
 * Reads a file through a buffer that moves along. Bytes that were handed out stay valid: each read fills a new buffer,
 * unless it is `fleeting`. Then they are valid until the next read, and reading much leaves nothing to be collected.
 */
export class FileWindow {
  readonly #file: DiskFile;
  readonly #isFleeting: boolean;
  /** The buffer that is filled again; empty unless it is fleeting. */
  #room: Buffer = NOTHING;
  #buffer: Buffer = NOTHING;
  #start = 0;

  constructor(file: DiskFile, options: { readonly fleeting?: boolean } = {}) {
    this.#file = file;
    this.#isFleeting = options.fleeting ?? false;
  }

  /** The bytes at `offset`, if the buffer holds them. */
  peek(offset: number, length: number): Buffer | undefined {
    const from = offset - this.#start;
    return from >= 0 && from + length <= this.#buffer.length ? this.#buffer.subarray(from, from + length) : undefined;
  }

  /** The bytes at `offset`; fewer at the end of the file. Reads ahead, but not beyond `limit`. */
  async load(offset: number, length: number, limit: number): Promise<Buffer> {
    const ready = this.peek(offset, length);
    if (ready !== undefined) return ready;
    const wanted = Math.max(length, Math.min(READ_BYTES, limit - offset));
    this.#buffer = await fillBuffer(this.#file, this.#take(wanted), offset);
    this.#start = offset;
    return this.#buffer.subarray(0, length);
  }

  #take(length: number): Buffer {
    if (!this.#isFleeting) return Buffer.allocUnsafeSlow(length);
    if (this.#room.length < length) this.#room = Buffer.allocUnsafeSlow(Math.max(length, READ_BYTES));
    return this.#room.subarray(0, length);
  }
}

export interface StoredRecord {
  readonly frame: Frame;
  readonly trailer: Uint8Array | undefined;
  readonly groupStart: number;
  /** The offset after the record. */
  readonly next: number;
}

/**
 * The record at `offset`, checked as far as its bytes go; undefined when there is no whole and sound one before
 * `limit`.
 * @throws EvertreeError FORMAT_UNSUPPORTED for a sound record with a frame of another version
 */
export async function readRecord(window: FileWindow, offset: number, limit: number, salt: number): Promise<StoredRecord | undefined> {
  if (offset + RECORD_HEADER_BYTES > limit) return undefined;
  const head = window.peek(offset, RECORD_HEADER_BYTES) ?? (await window.load(offset, RECORD_HEADER_BYTES, limit));
  const header = decodeRecordHeader(head, offset, salt);
  if (header === undefined || header.frameLength > FRAME_LIMIT_BYTES || header.trailerLength > TRAILER_LIMIT_BYTES) return undefined;
  const length = header.frameLength + header.trailerLength;
  const start = offset + RECORD_HEADER_BYTES;
  if (start + length > limit) return undefined;
  const bytes = window.peek(start, length) ?? (await window.load(start, length, limit));
  if (bytes.length < length) return undefined;
  const frame = soundFrame(bytes.subarray(0, header.frameLength));
  const trailer = bytes.subarray(header.frameLength);
  if (frame === undefined || crc32(trailer) !== header.trailerChecksum) return undefined;
  return { frame, trailer: trailer.length === 0 ? undefined : trailer, groupStart: header.groupStart, next: start + length };
}

/**
 * The frame, or undefined if it is not sound. An unknown version is an error only if the checksum is right: else it is
 * damage.
 */
function soundFrame(bytes: Buffer): Frame | undefined {
  try {
    return parseFrame(bytes);
  } catch (error) {
    if (isEvertreeError(error, 'FORMAT_UNSUPPORTED') && hasValidChecksum(bytes)) throw error;
    if (isEvertreeError(error)) return undefined;
    throw error;
  }
}

function hasValidChecksum(bytes: Buffer): boolean {
  if (bytes.length < FRAME_HEADER_BYTES + FRAME_CHECKSUM_BYTES) return false;
  const end = bytes.length - FRAME_CHECKSUM_BYTES;
  return crc32(bytes.subarray(0, end)) === bytes.readUInt32LE(end);
}
