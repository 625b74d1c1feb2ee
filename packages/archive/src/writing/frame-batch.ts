import type { ExactPosition, Frame } from '@evertree/core';
import { decodeFrame, EvertreeError, formatExactPosition, frameHash, samePosition } from '@evertree/core';
import type { FramesHeader } from '../format/object-header.ts';
import { releaseMemory } from '../format/memory.ts';

/**
 * The most bytes of an object before it is compressed; one longer frame or chunk has an object of its own. The format allows
 * twice as much, but who writes or reads an object holds it several times at once.
 */
export const BATCH_BYTES = 4 * 1024 * 1024;

const FIRST_ROOM_BYTES = 64 * 1024;

/** A place in a history, and what proves that it is that place. */
export interface ProvenPosition {
  readonly position: ExactPosition;
  /** Hash of the frame that ends there, 64 hex digits. */
  readonly chain: string;
}

/** A proven position with what is told of the state there. */
export interface ArchivedEnd extends ProvenPosition {
  /** Commit time there, milliseconds since 1970. */
  readonly time: number;
  /** Digest of the tree there, 16 hex digits. */
  readonly digest: string;
}

/** Frames for one object. Each is held to the one before it: by position and by hash. */
export class FrameBatch {
  readonly base: ExactPosition;
  /** The hash of the frame before the first one. */
  readonly previous: string;
  readonly marks: number[] = [];
  /** Revisions of the states that its mark frames name. */
  readonly marked: number[] = [];
  plainBytes = 0;
  commits = 0;
  /** Has room for more than the frames. */
  #room: Buffer = Buffer.alloc(0);
  #firstTime = 0;
  #end: ArchivedEnd;

  constructor({ position, chain }: ProvenPosition) {
    this.base = position;
    this.previous = chain;
    this.#end = { position, chain, time: 0, digest: '' };
  }

  get isEmpty(): boolean {
    return this.plainBytes === 0;
  }

  /** What comes after the last frame; time and digest are known only behind a frame. */
  get end(): ArchivedEnd {
    return this.#end;
  }

  /** The frames, one after the other: copies of what was added. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.plainBytes);
  }

  /** Gives their memory back: `bytes` is not valid any more. */
  release(): void {
    releaseMemory(this.#room);
  }

  /** Whether one more frame keeps the object within its bound. A longer frame has an object of its own. */
  fits(frame: Frame): boolean {
    return this.isEmpty || this.plainBytes + frame.bytes.length <= BATCH_BYTES;
  }

  /** @throws EvertreeError DAMAGED if it does not follow */
  add(frame: Frame): void {
    const { header, bytes } = frame;
    if (!samePosition(header.base, this.#end.position) || header.previous !== this.#end.chain) throw this.#unrelated(frame);
    if (this.isEmpty) this.#firstTime = header.firstTime;
    this.#append(bytes);
    this.commits += header.count;
    if (header.isMark) this.#addMark(frame);
    this.#end = { position: header.last, chain: frameHash(frame), time: header.lastTime, digest: header.digest };
  }

  /** What its object says of it. @param after see ARCHIVE.md, «Sealed object» */
  header(archive: string, line: string, after: string | null): FramesHeader {
    const { position: last, chain, time: lastTime, digest } = this.#end;
    const { base, previous, commits, plainBytes, marks } = this;
    return { archive, line, base, last, firstTime: this.#firstTime, lastTime, commits, plainBytes, previous, chain, digest, marks, after };
  }

  #append(bytes: Uint8Array): void {
    const length = this.plainBytes + bytes.length;
    if (length > this.#room.length) {
      const room = Buffer.allocUnsafeSlow(Math.max(length, FIRST_ROOM_BYTES, Math.min(this.#room.length * 2, BATCH_BYTES)));
      room.set(this.bytes);
      releaseMemory(this.#room);
      this.#room = room;
    }
    this.#room.set(bytes, this.plainBytes);
    this.plainBytes = length;
  }

  #addMark(frame: Frame): void {
    const { revision } = frame.header.last;
    const mark = decodeFrame(frame).note?.mark;
    this.marks.push(revision);
    if (mark !== undefined && !mark.removed) this.marked.push(revision - mark.back);
  }

  #unrelated({ header }: Frame): EvertreeError {
    const { position, chain } = this.#end;
    const names = samePosition(header.base, position)
      ? `names ${header.previous} as the frame before it`
      : `follows ${formatExactPosition(header.base)}`;
    const message = `the frame that ends at ${formatExactPosition(header.last)} ${names}, and the history before it ends at ${formatExactPosition(position)} with ${chain}: the journal is damaged, run "evertree verify" on the directory`;
    return new EvertreeError('DAMAGED', message, { position: header.last, expected: chain, found: header.previous });
  }
}
