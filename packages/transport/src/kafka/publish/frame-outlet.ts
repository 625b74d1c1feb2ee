import type { Clock, ExactPosition, FrameHeader } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import { PROTOCOL_HEADER } from '../records.ts';
import type { SentRecord } from '../records.ts';
import { PART_HEADER, splitValue } from '../parts.ts';
import { Places } from './places.ts';
import { RecordQueue } from './record-queue.ts';
import type { Queued } from './record-queue.ts';

export interface FrameOutletOptions {
  readonly clock: Clock;
  readonly topic: string;
  readonly key: string;
  readonly partBytes: number;
  readonly batchBytes: number;
  readonly lingerMs: number;
  readonly sendMs: number;
  send(topic: string, records: readonly SentRecord[]): Promise<bigint>;
  /** The topic has every frame up to this position. */
  acknowledged(last: ExactPosition): void;
  /** Records came in between that are not of this link: from `from` to before `to`. */
  foreign(from: bigint, to: bigint): void;
  /** Less is in the topic than was: it was cut, or made anew. */
  cut(explanation: string): void;
  failed(error: unknown): void;
  drained(): void;
}

/** What is known of a record once it is stored. */
interface Tag {
  /** The frame's first record: the revision that the frame follows. */
  readonly follows: number | undefined;
  /** The frame's last record: the position after it. */
  readonly last: ExactPosition | undefined;
}

/** Frames on their way to the topic. */
export class FrameOutlet {
  readonly #options: FrameOutletOptions;
  readonly #queue: RecordQueue<Tag>;
  readonly #places: Places;
  readonly #key: Buffer;
  #next: bigint;
  #sentBytes = 0;

  /** @param next the topic's end; @param revision what the topic goes up to */
  constructor(options: FrameOutletOptions, next: bigint, revision: number) {
    this.#options = options;
    this.#next = next;
    this.#places = new Places(next, revision);
    this.#key = Buffer.from(options.key);
    this.#queue = new RecordQueue({ ...options, stored: (batch, offset) => this.#stored(batch, offset) });
  }

  /** The offset that the next record gets, as far as is known. */
  get next(): bigint {
    return this.#next;
  }

  get waitingBytes(): number {
    return this.#queue.waitingBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  send(header: FrameHeader, bytes: Uint8Array): void {
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
      this.#queue.push({ topic, record, tag: { follows, last: rest === 0 ? header.last : undefined } });
    }
  }

  /** From which offset on a tree at this revision finds everything that follows it. */
  follow(revision: number): bigint {
    return this.#places.follow(revision);
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  stop(): void {
    this.#queue.stop();
  }

  #stored(batch: readonly Queued<Tag>[], offset: bigint): void {
    const expected = this.#next;
    if (offset < expected) {
      this.#options.cut(`its next record got the offset ${offset}, and ${expected} were there: it was cut short or made anew`);
      return;
    }
    this.#next = offset + BigInt(batch.length);
    if (offset > expected) this.#options.foreign(expected, offset);
    let last: ExactPosition | undefined;
    let placed = false;
    for (const [index, { tag, record }] of batch.entries()) {
      this.#sentBytes += record.value?.length ?? 0;
      if (tag.follows !== undefined && !placed) {
        this.#places.add(offset + BigInt(index), tag.follows);
        placed = true;
      }
      if (tag.last === undefined) continue;
      last = tag.last;
      this.#places.reach(offset + BigInt(index + 1), last.revision);
    }
    if (last !== undefined) this.#options.acknowledged(last);
    this.#options.drained();
  }
}
