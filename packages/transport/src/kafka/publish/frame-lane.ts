import type { ExactPosition, FrameHeader } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import { PART_HEADER, splitValue } from '../parts.ts';
import { PROTOCOL_HEADER } from '../records.ts';
import { OffsetIndex } from './offset-index.ts';
import { RecordQueue } from './record-queue.ts';
import type { Batch, RecordQueueLimits } from './record-queue.ts';

/** What is known of a record once it is stored. */
interface Tag {
  /** The frame's first record: the revision that the frame follows. */
  readonly follows: number | undefined;
  /** The frame's last record: the position after it. */
  readonly last: ExactPosition | undefined;
}

export interface FrameLaneOptions extends RecordQueueLimits {
  readonly topic: string;
  readonly key: string;
  /** The longest value of a record. */
  readonly partBytes: number;
}

/** What an answer of the broker told. */
export interface StoredFrames {
  /** The topic has every frame up to this position; undefined: the batch ended no frame. */
  readonly last: ExactPosition | undefined;
  /** Records of another writer stand before the batch, from `expected` on. */
  readonly foreign: boolean;
  /** The batch stands before where the topic ended: it was cut short, or made anew. */
  readonly cut: boolean;
  readonly expected: bigint;
}

/** Frames on their way to the topic. Pure. */
export class FrameLane {
  readonly #options: FrameLaneOptions;
  readonly #queue: RecordQueue<Tag>;
  readonly #key: Buffer;
  /** The offset that the next record gets, if nobody else writes. */
  #next: bigint;
  /** Undefined until the topic's position is known: nothing goes out before. */
  #index: OffsetIndex | undefined;

  /** @param next the topic's end */
  constructor(options: FrameLaneOptions, next: bigint) {
    this.#options = options;
    this.#key = Buffer.from(options.key);
    this.#queue = new RecordQueue(options);
    this.#next = next;
  }

  get next(): bigint {
    return this.#next;
  }

  get waitingBytes(): number {
    return this.#queue.waitingBytes;
  }

  get dueAt(): number {
    return this.#index === undefined ? Infinity : this.#queue.dueAt;
  }

  get lateAt(): number {
    return this.#queue.lateAt;
  }

  /** Nothing is to be waited for: everything is stored, or nothing may go out. */
  get idle(): boolean {
    return this.#index === undefined || this.#queue.waitingBytes === 0;
  }

  /** Frames may go out. @param revision what the topic goes up to */
  open(revision: number): void {
    this.#index = new OffsetIndex(this.#next, revision);
  }

  push(header: FrameHeader, bytes: Uint8Array, now: number): void {
    const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { topic, partBytes } = this.#options;
    const timestamp = String(header.lastTime);
    const common = { ...PROTOCOL_HEADER, position: formatPosition(header.last) };
    let rest = value.length;
    for (const { value: piece, part } of splitValue(value, partBytes)) {
      const headers = part === undefined ? common : { ...common, [PART_HEADER]: part };
      const follows = rest === value.length ? header.base.revision : undefined;
      rest -= piece.length;
      const record = { key: this.#key, value: piece, headers, timestamp };
      this.#queue.push({ topic, record, tag: { follows, last: rest === 0 ? header.last : undefined } }, now);
    }
  }

  cut(now: number): Batch | undefined {
    return this.dueAt > now ? undefined : this.#queue.cut(now);
  }

  /** @param offset of the batch's first record */
  stored(offset: bigint): StoredFrames {
    const expected = this.#next;
    const batch = this.#queue.stored();
    if (offset < expected) return { last: undefined, foreign: false, cut: true, expected };
    this.#next = offset + BigInt(batch.length);
    let last: ExactPosition | undefined;
    let isIndexed = false;
    for (const [index, { tag }] of batch.entries()) {
      if (tag.follows !== undefined && !isIndexed) {
        this.#index?.add(offset + BigInt(index), tag.follows);
        isIndexed = true;
      }
      if (tag.last === undefined) continue;
      last = tag.last;
      this.#index?.reach(offset + BigInt(index + 1), last.revision);
    }
    return { last, foreign: offset > expected, cut: false, expected };
  }

  /** From which offset on a tree at this revision finds everything that follows it. */
  follow(revision: number): bigint {
    return this.#index?.follow(revision) ?? this.#next;
  }
}
