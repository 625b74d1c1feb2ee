import { crc32 } from 'node:zlib';
import type { Disk, DiskFile, ExactPosition, StoredFrame } from '@evertree/core';
import { EvertreeError } from '@evertree/core';
import { isMissing, readFailed } from '../groups/failure.ts';
import { FileWindow, readRecord } from '../segments/record-reader.ts';
import {
  decodeSegmentHeader,
  encodeRecordHeader,
  encodeSeal,
  encodeSegmentHeader,
  RECORD_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
} from '../segments/segment-format.ts';
import { readSeal } from '../segments/segment.ts';
import { SparseIndex } from '../segments/sparse-index.ts';

/**
 * Records are gathered up to this many bytes, and written at once. Only a write lets others run: frames come from memory.
 */
const WRITE_BYTES = 256 * 1024;

/** Writes the frames of a divergence as one sealed segment. */
export class DivergenceWriter {
  readonly #file: DiskFile;
  readonly #salt: number;
  readonly #index = new SparseIndex();
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** The offset after what is written. */
  #written = 0;
  #last: ExactPosition;
  #lastTime = 0;

  /** @param head `base`: the position that the first frame follows */
  constructor(file: DiskFile, head: { readonly stream: string; readonly base: ExactPosition; readonly salt: number }) {
    this.#file = file;
    this.#salt = head.salt;
    this.#last = head.base;
    this.#put(encodeSegmentHeader({ ...head, generation: 0 }));
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
    if (this.#pendingBytes >= WRITE_BYTES) await this.#flush();
  }

  /** Writes the seal, and makes all of it durable. */
  async seal(): Promise<void> {
    this.#put(encodeSeal({ last: this.#last, lastTime: this.#lastTime, entries: this.#index.entries }, this.bytes, this.#salt));
    await this.#flush();
    await this.#file.sync();
  }

  #put(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  async #flush(): Promise<void> {
    await this.#file.write([Buffer.concat(this.#pending, this.#pendingBytes)], this.#written);
    this.#written += this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}

/** The frames of a sealed segment that belongs to a divergence, in order. @throws EvertreeError DAMAGED */
export async function* readDivergence(disk: Disk, path: string): AsyncGenerator<StoredFrame, void, undefined> {
  const file = await openFrames(disk, path);
  try {
    const size = await file.size();
    const window = new FileWindow(file);
    const header = decodeSegmentHeader(await window.load(0, SEGMENT_HEADER_BYTES, size), path);
    if (header === undefined) throw unreadable(path, 0, 'its header is damaged');
    const end = (await readSeal(window, size, header.salt))?.offset;
    if (end === undefined) throw unreadable(path, size, 'its end is damaged');
    for (let offset = SEGMENT_HEADER_BYTES; offset < end;) {
      const record = await readRecord(window, offset, end, header.salt);
      if (record === undefined) throw unreadable(path, offset, 'the record there is damaged');
      yield { frame: record.frame, trailer: record.trailer };
      offset = record.next;
    }
  } catch (error) {
    throw readFailed(error);
  } finally {
    await file.close();
  }
}

async function openFrames(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, {});
  } catch (error) {
    if (isMissing(error)) throw unreadable(path, 0, 'the file is missing');
    throw error;
  }
}

function unreadable(file: string, offset: number, problem: string): EvertreeError {
  const message = `${file} is damaged at offset ${offset}: ${problem}; the commits of this divergence from there on can't be read`;
  return new EvertreeError('DAMAGED', message, { file, offset });
}
