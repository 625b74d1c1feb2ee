import { EvertreeError } from '@evertree/core';
import { encodeControl } from '../control.ts';
import type { Control, SnapshotRecord } from '../control.ts';
import type { SentRecord } from '../records.ts';
import type { TopicNames } from '../topics.ts';
import { RecordQueue } from './record-queue.ts';
import type { Batch, RecordQueueLimits } from './record-queue.ts';
import { SnapshotWriter } from './snapshot-writer.ts';
import type { BegunSnapshot } from './snapshot-writer.ts';

export interface BesideLaneOptions extends RecordQueueLimits {
  readonly topics: TopicNames;
  /** Tells this link's records from others': 16 hex digits. */
  readonly sign: string;
  /** The longest value of a record. */
  readonly partBytes: number;
}

type Tag =
  | { readonly type: 'control' }
  | { readonly type: 'piece'; readonly writer: SnapshotWriter; readonly isEnd: boolean }
  | { readonly type: 'announcement'; readonly announced: AnnouncedSnapshot };

/** A snapshot that is whole, and told of in the control topic. */
export interface AnnouncedSnapshot {
  readonly record: SnapshotRecord;
  readonly writer: SnapshotWriter;
}

/**
 * What goes beside the frames: a snapshot at a time, and the records of the control topic. They keep their order, so no snapshot is announced before it
 * is whole. Pure.
 */
export class BesideLane {
  readonly #options: BesideLaneOptions;
  readonly #queue: RecordQueue<Tag>;
  /** The snapshot that has begun and is not announced yet. */
  #snapshot: SnapshotWriter | undefined;

  constructor(options: BesideLaneOptions) {
    this.#options = options;
    this.#queue = new RecordQueue(options);
  }

  get waitingBytes(): number {
    return this.#queue.waitingBytes;
  }

  get dueAt(): number {
    return this.#queue.dueAt;
  }

  get lateAt(): number {
    return this.#queue.lateAt;
  }

  get idle(): boolean {
    return this.#queue.waitingBytes === 0;
  }

  /** A snapshot is under way. */
  get busy(): boolean {
    return this.#snapshot !== undefined;
  }

  tell(control: Control, now: number): void {
    this.#push(this.#options.topics.control, encodeControl(control, this.#options.sign), { type: 'control' }, now);
  }

  /** One that is under way is given up: it is never announced. */
  beginSnapshot(begun: BegunSnapshot, now: number): void {
    const writer = new SnapshotWriter({ ...begun, partBytes: this.#options.partBytes });
    this.#snapshot = writer;
    this.#pushPieces(writer, writer.begin(), false, now);
  }

  addChunk(bytes: Uint8Array, now: number): void {
    const writer = this.#snapshot;
    if (writer !== undefined) this.#pushPieces(writer, writer.chunk(bytes), false, now);
  }

  /** @throws EvertreeError PROTOCOL_VIOLATION when it has another number of chunks: then it is given up */
  endSnapshot(chunks: number, now: number): void {
    const writer = this.#snapshot;
    if (writer === undefined) return;
    if (writer.chunks !== chunks) {
      this.#snapshot = undefined;
      throw new EvertreeError('PROTOCOL_VIOLATION', `a snapshot of ${writer.chunks} chunks ends as one of ${chunks}`);
    }
    this.#pushPieces(writer, writer.end(), true, now);
  }

  cut(now: number): Batch | undefined {
    return this.#queue.cut(now);
  }

  /** @param offset of the batch's first record. @returns the snapshot that every reader can know of by now */
  stored(offset: bigint, now: number): AnnouncedSnapshot | undefined {
    let announced: AnnouncedSnapshot | undefined;
    for (const [index, { tag }] of this.#queue.stored().entries()) {
      if (tag.type === 'piece') this.#storedPiece(tag, offset + BigInt(index), now);
      if (tag.type === 'announcement') announced = tag.announced;
    }
    if (announced?.writer === this.#snapshot) this.#snapshot = undefined;
    return announced;
  }

  #storedPiece({ writer, isEnd }: Tag & { type: 'piece' }, offset: bigint, now: number): void {
    writer.stored(offset);
    if (!isEnd || writer !== this.#snapshot) return;
    const record = writer.announcement(offset);
    const tag: Tag = { type: 'announcement', announced: { record, writer } };
    this.#push(this.#options.topics.control, encodeControl({ kind: 'snapshot', value: record }, this.#options.sign), tag, now);
  }

  #pushPieces(writer: SnapshotWriter, records: readonly SentRecord[], isEnd: boolean, now: number): void {
    for (const record of records) this.#push(this.#options.topics.snapshots, record, { type: 'piece', writer, isEnd }, now);
  }

  #push(topic: string, record: SentRecord, tag: Tag, now: number): void {
    this.#queue.push({ topic, record, tag }, now);
  }
}
