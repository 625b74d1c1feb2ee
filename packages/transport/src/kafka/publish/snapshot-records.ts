import type { Reason, SnapshotHeader } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import { PART_HEADER, splitValue } from '../parts.ts';
import { PROTOCOL_HEADER } from '../records.ts';
import type { SentRecord } from '../records.ts';

export interface BegunSnapshot {
  /** 16 hex digits. */
  readonly id: string;
  readonly header: SnapshotHeader;
  readonly reason: Reason;
  /** It answers a request of this end, so it does not change the topic's position. */
  readonly answersRequest: boolean;
}

/**
 * One snapshot on its way to the snapshot topic: its records, and what is known of them once the broker has them. Pure.
 */
export class SnapshotRecords {
  readonly begun: BegunSnapshot;
  readonly #partBytes: number;
  readonly #follow: bigint;
  readonly #key: Buffer;
  #chunks = 0;
  #bytes = 0;
  /** Offset of its first record, once that is stored. */
  #begin: bigint | undefined;

  /** @param follow the offset of the first frame to read after it */
  constructor(begun: BegunSnapshot, partBytes: number, follow: bigint) {
    this.begun = begun;
    this.#partBytes = partBytes;
    this.#follow = follow;
    this.#key = Buffer.from(begun.id);
  }

  get chunks(): number {
    return this.#chunks;
  }

  begin(): SentRecord[] {
    const { header, reason } = this.begun;
    return this.#records('begin', Buffer.from(JSON.stringify({ header, reason })));
  }

  chunk(bytes: Uint8Array): SentRecord[] {
    this.#chunks += 1;
    this.#bytes += bytes.length;
    return this.#records('chunk', Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  end(): SentRecord[] {
    return this.#records('end', Buffer.from(JSON.stringify({ chunks: this.#chunks })));
  }

  /** A record of it has this offset; the first one tells where it begins. */
  stored(offset: bigint): void {
    this.#begin ??= offset;
  }

  /** What is told of it once its last record is there. @param end that record's offset */
  announcement(end: bigint): SnapshotRecord {
    const { id } = this.begun;
    const { marks: _, ...header } = this.begun.header;
    const [begin, follow] = [this.#begin ?? end, this.#follow].map(String) as [string, string];
    return { id, header, begin, end: String(end), chunks: this.#chunks, bytes: this.#bytes, follow };
  }

  #records(type: 'begin' | 'chunk' | 'end', value: Buffer): SentRecord[] {
    return Array.from(splitValue(value, this.#partBytes), ({ value: piece, part }) => {
      const headers = { ...PROTOCOL_HEADER, type, ...(part === undefined ? {} : { [PART_HEADER]: part }) };
      return { key: this.#key, value: piece, headers };
    });
  }
}
