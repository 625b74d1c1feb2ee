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
  /** It answers a request beside the frames, so where the topic stands does not change by it. */
  readonly answersRequest: boolean;
  /** The offset where the topic goes on after it. */
  readonly follow: bigint;
}

interface SnapshotWriterOptions extends BegunSnapshot {
  readonly partBytes: number;
}

/** One snapshot on its way to the snapshot topic: its records, and what is known of them once the broker has them. Pure. */
export class SnapshotWriter {
  readonly header: SnapshotHeader;
  readonly answersRequest: boolean;
  readonly #options: SnapshotWriterOptions;
  readonly #key: Buffer;
  #chunks = 0;
  #bytes = 0;
  /** Offset of its first record, once that is stored. */
  #begin: bigint | undefined;

  constructor(options: SnapshotWriterOptions) {
    this.#options = options;
    this.header = options.header;
    this.answersRequest = options.answersRequest;
    this.#key = Buffer.from(options.id);
  }

  get chunks(): number {
    return this.#chunks;
  }

  begin(): SentRecord[] {
    const { header, reason } = this.#options;
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
    const { id, header, follow } = this.#options;
    return {
      id,
      header,
      begin: (this.#begin ?? end).toString(),
      end: end.toString(),
      chunks: this.#chunks,
      bytes: this.#bytes,
      follow: follow.toString(),
    };
  }

  #records(type: 'begin' | 'chunk' | 'end', value: Buffer): SentRecord[] {
    const records: SentRecord[] = [];
    for (const { value: piece, part } of splitValue(value, this.#options.partBytes)) {
      const headers = { ...PROTOCOL_HEADER, type, ...(part === undefined ? {} : { [PART_HEADER]: part }) };
      records.push({ key: this.#key, value: piece, headers });
    }
    return records;
  }
}
