import { EvertreeError } from '@evertree/core';
import type { Clock, Reason, SnapshotHeader } from '@evertree/core';
import { encodeControl } from '../control.ts';
import type { Control, SnapshotRecord } from '../control.ts';
import type { SentRecord } from '../records.ts';
import type { TopicNames } from '../topics.ts';
import { RecordQueue } from './record-queue.ts';
import type { Queued } from './record-queue.ts';
import { SnapshotWriter } from './snapshot-writer.ts';

export interface AsideOptions {
  readonly clock: Clock;
  readonly topics: TopicNames;
  /** Who writes: the sign of this link. */
  readonly from: string;
  readonly partBytes: number;
  readonly batchBytes: number;
  readonly sendMs: number;
  send(topic: string, records: readonly SentRecord[]): Promise<bigint>;
  /** A snapshot is whole, and every reader can know of it. */
  announced(snapshot: SnapshotRecord, writer: SnapshotWriter): void;
  failed(error: unknown): void;
  drained(): void;
}

type Tag =
  | { readonly type: 'control' }
  | { readonly type: 'snapshot'; readonly writer: SnapshotWriter; readonly isEnd: boolean }
  | { readonly type: 'announcement'; readonly writer: SnapshotWriter; readonly snapshot: SnapshotRecord };

/** What goes beside the frames: a snapshot at a time, and the records of the control topic. In order, so that no snapshot is told before it is whole. */
export class Aside {
  readonly #options: AsideOptions;
  readonly #queue: RecordQueue<Tag>;
  #snapshot: SnapshotWriter | undefined;
  #sentBytes = 0;

  constructor(options: AsideOptions) {
    this.#options = options;
    this.#queue = new RecordQueue<Tag>({ ...options, lingerMs: 0, stored: (batch, offset) => this.#stored(batch, offset) });
  }

  get waitingBytes(): number {
    return this.#queue.waitingBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** A snapshot has begun, and is not announced yet. */
  get busy(): boolean {
    return this.#snapshot !== undefined;
  }

  tell(control: Control): void {
    this.#queue.push({ topic: this.#options.topics.control, record: encodeControl(control, this.#options.from), tag: { type: 'control' } });
  }

  /** One that is under way is given up: it is never announced. */
  beginSnapshot(id: string, header: SnapshotHeader, reason: Reason, isAside: boolean, follow: bigint): void {
    const writer = new SnapshotWriter(id, header, isAside, follow, this.#options.partBytes);
    this.#snapshot = writer;
    this.#push(writer, writer.begin(reason), false);
  }

  addChunk(bytes: Uint8Array): void {
    const writer = this.#snapshot;
    if (writer !== undefined) this.#push(writer, writer.chunk(bytes), false);
  }

  /** @throws EvertreeError PROTOCOL_VIOLATION when it has another number of chunks: then it is given up */
  endSnapshot(chunks: number): void {
    const writer = this.#snapshot;
    if (writer === undefined) return;
    if (writer.chunks !== chunks) {
      this.#snapshot = undefined;
      throw new EvertreeError('PROTOCOL_VIOLATION', `a snapshot of ${writer.chunks} chunks ends as one of ${chunks}`);
    }
    this.#push(writer, writer.end(), true);
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  stop(): void {
    this.#queue.stop();
  }

  #push(writer: SnapshotWriter, records: readonly SentRecord[], isEnd: boolean): void {
    for (const record of records) {
      this.#queue.push({ topic: this.#options.topics.snapshots, record, tag: { type: 'snapshot', writer, isEnd } });
    }
  }

  #stored(batch: readonly Queued<Tag>[], offset: bigint): void {
    for (const [index, { tag, record }] of batch.entries()) {
      this.#sentBytes += record.value?.length ?? 0;
      if (tag.type === 'snapshot') this.#storedPiece(tag, offset + BigInt(index));
      if (tag.type === 'announcement') this.#storedAnnouncement(tag);
    }
    this.#options.drained();
  }

  #storedPiece({ writer, isEnd }: Tag & { type: 'snapshot' }, offset: bigint): void {
    writer.stored(offset);
    if (!isEnd || writer !== this.#snapshot) return;
    const snapshot = writer.announcement(offset);
    const record = encodeControl({ kind: 'snapshot', value: snapshot }, this.#options.from);
    this.#queue.push({ topic: this.#options.topics.control, record, tag: { type: 'announcement', writer, snapshot } });
  }

  #storedAnnouncement({ writer, snapshot }: Tag & { type: 'announcement' }): void {
    if (writer === this.#snapshot) this.#snapshot = undefined;
    this.#options.announced(snapshot, writer);
  }
}
