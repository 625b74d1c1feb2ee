import type { Reason, SnapshotHeader } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import { PROTOCOL_HEADER } from '../records.ts';
import type { SentRecord } from '../records.ts';
import { PART_HEADER, splitValue } from '../parts.ts';

/** One snapshot on its way to the snapshot topic: its records, and what is known of them once the broker has them. */
export class SnapshotWriter {
  readonly id: string;
  readonly header: SnapshotHeader;
  /** It was asked for beside the frames, so where the topic stands does not change by it. */
  readonly aside: boolean;
  readonly #follow: bigint;
  readonly #partBytes: number;
  readonly #key: Buffer;
  #chunks = 0;
  #bytes = 0;
  #begin: bigint | undefined;

  /** @param follow where the topic goes on after it */
  constructor(id: string, header: SnapshotHeader, aside: boolean, follow: bigint, partBytes: number) {
    this.id = id;
    this.header = header;
    this.aside = aside;
    this.#follow = follow;
    this.#partBytes = partBytes;
    this.#key = Buffer.from(id);
  }

  begin(reason: Reason): SentRecord[] {
    return this.#records('begin', Buffer.from(JSON.stringify({ header: this.header, reason })));
  }

  chunk(bytes: Uint8Array): SentRecord[] {
    this.#chunks += 1;
    this.#bytes += bytes.length;
    return this.#records('chunk', Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  end(): SentRecord[] {
    return this.#records('end', Buffer.from(JSON.stringify({ chunks: this.#chunks })));
  }

  get chunks(): number {
    return this.#chunks;
  }

  /** A record of it has this offset now; the first one tells where it begins. */
  stored(offset: bigint): void {
    this.#begin ??= offset;
  }

  /** What is told of it once its last record is there. @param end that record's offset */
  announcement(end: bigint): SnapshotRecord {
    return {
      id: this.id,
      header: this.header,
      begin: (this.#begin ?? end).toString(),
      end: end.toString(),
      chunks: this.#chunks,
      bytes: this.#bytes,
      follow: this.#follow.toString(),
    };
  }

  #records(type: 'begin' | 'chunk' | 'end', value: Buffer): SentRecord[] {
    const records: SentRecord[] = [];
    for (const { value: piece, part } of splitValue(value, this.#partBytes)) {
      const headers = { ...PROTOCOL_HEADER, type, ...(part === undefined ? {} : { [PART_HEADER]: part }) };
      records.push({ key: this.#key, value: piece, headers });
    }
    return records;
  }
}
