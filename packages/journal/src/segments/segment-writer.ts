import { crc32 } from 'node:zlib';
import type { DiskFile, ExactPosition, StoredFrame } from '@evertree/core';
import type { SegmentHeader } from './segment-format.ts';
import { encodeRecordHeader, encodeSeal, encodeSegmentHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES } from './segment-format.ts';
import { SparseIndex } from './sparse-index.ts';

/**
 * Records are gathered up to this many bytes, and written at once. Only a write lets others run: frames come from memory.
 */
const WRITE_BYTES = 256 * 1024;
/** More pieces are put together before they are written: copying costs less than a list of small ones. */
const PIECES_AT_ONCE = 64;

/** Writes frames that are all there already as one sealed segment: all of them are one group. */
export class SegmentWriter {
  readonly #file: DiskFile;
  readonly #salt: number;
  readonly #index = new SparseIndex();
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** The offset after what is written. */
  #written = 0;
  #last: ExactPosition;
  #lastTime = 0;

  constructor(file: DiskFile, header: SegmentHeader) {
    this.#file = file;
    this.#salt = header.salt;
    this.#last = header.base;
    this.#put(encodeSegmentHeader(header));
  }

  /** Bytes of the file so far. */
  get bytes(): number {
    return this.#written + this.#pendingBytes;
  }

  get last(): ExactPosition {
    return this.#last;
  }

  async write(stored: StoredFrame): Promise<void> {
    const { frame, trailer } = stored;
    const { base, last, firstTime, lastTime } = frame.header;
    const offset = this.bytes;
    const header = Buffer.allocUnsafeSlow(RECORD_HEADER_BYTES);
    const record = {
      frameLength: frame.bytes.length,
      trailerLength: trailer?.length ?? 0,
      groupStart: SEGMENT_HEADER_BYTES,
      trailerChecksum: trailer === undefined ? 0 : crc32(trailer),
    };
    encodeRecordHeader(header, 0, record, offset, this.#salt);
    this.#put(header);
    this.#put(frame.bytes);
    if (trailer !== undefined) this.#put(trailer);
    this.#index.add(base.revision, offset, firstTime);
    this.#last = last;
    this.#lastTime = lastTime;
    if (this.#pendingBytes >= WRITE_BYTES) await this.flush();
  }

  /**
   * Takes a record over that was read from the file, so that writing goes on after it: the first record of the file, then
   * the one after it, before anything is written. What comes after the last of them has to be cut off.
   */
  adopt({ frame, trailer }: StoredFrame): void {
    const { base, last, firstTime, lastTime } = frame.header;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#written = Math.max(this.#written, SEGMENT_HEADER_BYTES);
    this.#index.add(base.revision, this.#written, firstTime);
    this.#written += RECORD_HEADER_BYTES + frame.bytes.length + (trailer?.length ?? 0);
    this.#last = last;
    this.#lastTime = lastTime;
  }

  /** Writes the seal, and makes all of it durable. */
  async seal(): Promise<void> {
    this.#put(encodeSeal({ last: this.#last, lastTime: this.#lastTime, entries: this.#index.entries }, this.bytes, this.#salt));
    await this.flush();
    await this.#file.sync();
  }

  /** Writes what is gathered. It need not be durable then. */
  async flush(): Promise<void> {
    const pieces = this.#pending;
    if (pieces.length === 0) return;
    await this.#file.write(pieces.length > PIECES_AT_ONCE ? [Buffer.concat(pieces, this.#pendingBytes)] : pieces, this.#written);
    this.#written += this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #put(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }
}
