import { EvertreeError, formatPosition } from '@evertree/core';
import type { EpochName, ExactPosition, FrameHeader, Message } from '@evertree/core';
import { reignHeader } from '../claims/claim.ts';
import { encodeControl } from '../control.ts';
import type { Control, SnapshotRecord } from '../control.ts';
import { PART_BYTES, PART_HEADER, RECORD_OVERHEAD_BYTES, splitValue } from '../parts.ts';
import { PROTOCOL_HEADER } from '../records.ts';
import type { SentRecord } from '../records.ts';
import type { PublishAction } from './actions.ts';
import { OffsetIndex } from './offset-index.ts';
import { RecordQueue } from './record-queue.ts';
import type { PublisherSettings } from './settings.ts';
import { SnapshotRecords } from './snapshot-records.ts';
import type { BegunSnapshot } from './snapshot-records.ts';
import type { MessageBytes } from './topic-setup.ts';

/** Sites whose answer about who leads is waited for. */
const MOST_UNANSWERED = 256;

/** What is known of a frame's record once it is stored. */
interface FrameTag {
  /** The frame's first record: the revision that the frame follows. */
  readonly follows: number | undefined;
  /** The frame's last record: the position after it. */
  readonly last: ExactPosition | undefined;
  /** Under which the record was written. One object for each reign. */
  readonly reign: EpochName;
}

/** What is known of a record beside the frames once it is stored. */
type BesideTag =
  | { readonly type: 'control' }
  | { readonly type: 'piece'; readonly snapshot: SnapshotRecords; readonly isEnd: boolean }
  | { readonly type: 'announcement'; readonly announced: AnnouncedSnapshot };

/** A snapshot that is whole and announced in the control topic. */
export interface AnnouncedSnapshot {
  readonly record: SnapshotRecord;
  readonly snapshot: SnapshotRecords;
}

/** What an answer to a batch of frames told. */
export interface StoredFrames {
  /** The offset that the batch should have got. */
  readonly expected: bigint;
  /** The topic has every frame up to here; undefined: the batch ended no frame, or the topic was cut. */
  readonly last: ExactPosition | undefined;
  /** The first record that this link wrote under a reign. */
  readonly first: { readonly offset: bigint; readonly reign: EpochName } | undefined;
}

/**
 * What waits for the broker, in two lanes. One has the frames. The lane beside it has one snapshot at a time and the
 * records of the control topic, in order: no snapshot is announced before it is whole. Pure; `now` is the caller's,
 * milliseconds on the monotonic clock.
 */
export class TopicOutbox {
  readonly #settings: PublisherSettings;
  readonly #sign: string;
  readonly #key: Buffer;
  /** Of a frame, and of a piece of a snapshot. */
  readonly #partBytes: MessageBytes;
  readonly #frames: RecordQueue<FrameTag>;
  readonly #beside: RecordQueue<BesideTag>;
  /** The offset that the topic's next record gets, unless another writer comes in between. */
  #next: bigint;
  /** What the records of a reign have in common; made once for each. */
  #headed: { readonly reign: EpochName | undefined; readonly headers: Readonly<Record<string, string>> } = {
    reign: undefined,
    headers: PROTOCOL_HEADER,
  };
  /** Under which the last record was written that the broker has. */
  #reign: EpochName | undefined;
  /** Undefined until the topic's position is known: no frame goes out before. */
  #index: OffsetIndex | undefined;
  /** The last word about who leads to each site that has not answered since. */
  readonly #unanswered = new Map<string, Message & { type: 'role' }>();
  /** The snapshot that has begun and is not announced yet. */
  #snapshot: SnapshotRecords | undefined;
  /** False from `writableBytes` on, until half of that waits. */
  #isWritable = true;

  /**
   * @param messageBytes the largest batch that each lane's topics take.
   * @param sign tells this link's records from others'.
   * @param next the topic's end
   */
  constructor(settings: PublisherSettings, messageBytes: MessageBytes, sign: string, next: bigint) {
    const { key, lingerMs, sendMs, requestBytes } = settings;
    const most = Math.min(requestBytes, messageBytes.frames) - RECORD_OVERHEAD_BYTES;
    const mostBeside = Math.min(requestBytes, messageBytes.beside) - RECORD_OVERHEAD_BYTES;
    this.#settings = settings;
    this.#sign = sign;
    this.#next = next;
    this.#key = Buffer.from(key);
    this.#partBytes = { frames: Math.min(PART_BYTES, most), beside: Math.min(PART_BYTES, mostBeside) };
    this.#frames = new RecordQueue({ batchBytes: Math.min(settings.batchBytes, most), lingerMs, sendMs });
    this.#beside = new RecordQueue({ batchBytes: mostBeside, lingerMs: 0, sendMs });
  }

  get next(): bigint {
    return this.#next;
  }

  get isWritable(): boolean {
    return this.#isWritable;
  }

  get waitingBytes(): number {
    return this.#frames.waitingBytes + this.#beside.waitingBytes;
  }

  /** When a batch is due, or late: the broker has taken too long for it. */
  get wakeAt(): number {
    return Math.min(this.#framesDueAt, this.#beside.dueAt, this.lateAt);
  }

  get lateAt(): number {
    return Math.min(this.#frames.lateAt, this.#beside.lateAt);
  }

  /** Whether no frame waits or is being sent. */
  get areFramesIdle(): boolean {
    return this.#index === undefined || this.#frames.waitingBytes === 0;
  }

  get isBesideIdle(): boolean {
    return this.#beside.waitingBytes === 0;
  }

  get hasSnapshot(): boolean {
    return this.#snapshot !== undefined;
  }

  /** Frames may go out. @param revision what the topic goes up to */
  open(revision: number): void {
    this.#index = new OffsetIndex(this.#next, revision);
  }

  /** @param reign under which it is written; the same object for all of one reign */
  addFrame(header: FrameHeader, bytes: Uint8Array, reign: EpochName, now: number): void {
    const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const timestamp = String(header.lastTime);
    if (reign !== this.#headed.reign) this.#headed = { reign, headers: { ...PROTOCOL_HEADER, ...reignHeader(reign) } };
    const common = { ...this.#headed.headers, position: formatPosition(header.last) };
    let rest = value.length;
    for (const { value: piece, part } of splitValue(value, this.#partBytes.frames)) {
      const headers = part === undefined ? common : { ...common, [PART_HEADER]: part };
      const follows = rest === value.length ? header.base.revision : undefined;
      rest -= piece.length;
      const record = { key: this.#key, value: piece, headers, timestamp };
      this.#frames.push({ topic: this.#settings.topic, record, tag: { follows, last: rest === 0 ? header.last : undefined, reign } }, now);
    }
    this.#fill();
  }

  tell(control: Control, now: number, tag: BesideTag = { type: 'control' }): void {
    this.#beside.push({ topic: this.#settings.topics.control, record: encodeControl(control, this.#sign), tag }, now);
    this.#fill();
  }

  /** A site was taken off the list: what it said of itself goes. */
  forget(site: string, now: number): void {
    this.#unanswered.delete(site);
    for (const kind of ['site', 'position', 'want', 'role'] as const) this.tell({ kind, site, value: null }, now);
  }

  /** Says something about who leads to a site. */
  say(said: Message & { type: 'role' }, now: number): void {
    const { from, to, message } = said;
    if (this.#unanswered.size < MOST_UNANSWERED) this.#unanswered.set(to, said);
    this.tell({ kind: 'role', site: to, value: { from, to, message } }, now);
  }

  /**
   * What sites say. One that makes a link anew may have missed what was said to it meanwhile: it is said again, unless
   * the site has answered.
   */
  heard(messages: readonly Message[], now: number): void {
    for (const message of messages) {
      if (message.type === 'role') this.#unanswered.delete(message.from);
      const missed = message.type === 'reader' && message.present ? this.#unanswered.get(message.hello.site) : undefined;
      if (missed !== undefined) this.say(missed, now);
    }
  }

  /** A snapshot that is under way is given up, and never announced. */
  beginSnapshot(begun: BegunSnapshot, now: number): void {
    this.#snapshot = new SnapshotRecords(begun, this.#partBytes.beside, this.follow(begun.header.position.revision));
    this.#addPieces(this.#snapshot.begin(), false, now);
  }

  addChunk(bytes: Uint8Array, now: number): void {
    if (this.#snapshot !== undefined) this.#addPieces(this.#snapshot.chunk(bytes), false, now);
  }

  /** @throws EvertreeError PROTOCOL_VIOLATION when it has another number of chunks: then it is given up */
  endSnapshot(chunks: number, now: number): void {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    if (snapshot.chunks !== chunks) {
      this.#snapshot = undefined;
      throw new EvertreeError('PROTOCOL_VIOLATION', `a snapshot of ${snapshot.chunks} chunks ends as one of ${chunks}`);
    }
    this.#addPieces(snapshot.end(), true, now);
  }

  /** The batches that are due. */
  cut(now: number): PublishAction[] {
    const frames = this.#framesDueAt > now ? undefined : this.#frames.cut(now);
    const beside = this.#beside.cut(now);
    return [
      ...(frames === undefined ? [] : [{ type: 'produce', lane: 'frames', ...frames } as const]),
      ...(beside === undefined ? [] : [{ type: 'produce', lane: 'beside', ...beside } as const]),
    ];
  }

  /** The broker has a batch of frames. @param offset of its first record */
  storedFrames(offset: bigint): StoredFrames {
    const expected = this.#next;
    const batch = this.#frames.stored();
    if (offset < expected) return { expected, last: undefined, first: undefined };
    this.#next = offset + BigInt(batch.length);
    let last: ExactPosition | undefined;
    let first: StoredFrames['first'];
    let isIndexed = false;
    for (const [index, { tag }] of batch.entries()) {
      if (tag.follows !== undefined && !isIndexed) {
        this.#index?.add(offset + BigInt(index), tag.follows);
        isIndexed = true;
      }
      if (tag.reign !== this.#reign) {
        this.#reign = tag.reign;
        first = { offset: offset + BigInt(index), reign: tag.reign };
      }
      if (tag.last === undefined) continue;
      last = tag.last;
      this.#index?.reach(offset + BigInt(index + 1), last.revision);
    }
    return { expected, last, first };
  }

  /**
   * The broker has a batch of the lane beside the frames.
   * @param offset of its first record.
   * @returns the snapshot that every reader can know of by now
   */
  storedBeside(offset: bigint, now: number): AnnouncedSnapshot | undefined {
    let announced: AnnouncedSnapshot | undefined;
    for (const [index, { tag }] of this.#beside.stored().entries()) {
      if (tag.type === 'piece') this.#storedPiece(tag, offset + BigInt(index), now);
      if (tag.type === 'announcement') announced = tag.announced;
    }
    if (announced?.snapshot === this.#snapshot) this.#snapshot = undefined;
    return announced;
  }

  /** Less waits than before. @returns whether it is writable again */
  drained(): boolean {
    if (this.#isWritable || this.waitingBytes > this.#settings.limits.writableBytes / 2) return false;
    this.#isWritable = true;
    return true;
  }

  /** The offset from which on all frames after this revision can be read. */
  follow(revision: number): bigint {
    return this.#index?.follow(revision) ?? this.#next;
  }

  get #framesDueAt(): number {
    return this.#index === undefined ? Infinity : this.#frames.dueAt;
  }

  #addPieces(records: readonly SentRecord[], isEnd: boolean, now: number): void {
    const { snapshots: topic } = this.#settings.topics;
    for (const record of records) this.#beside.push({ topic, record, tag: { type: 'piece', snapshot: this.#snapshot!, isEnd } }, now);
    this.#fill();
  }

  #storedPiece({ snapshot, isEnd }: BesideTag & { type: 'piece' }, offset: bigint, now: number): void {
    snapshot.stored(offset);
    if (!isEnd || snapshot !== this.#snapshot) return;
    const record = snapshot.announcement(offset);
    this.tell({ kind: 'snapshot', value: record }, now, { type: 'announcement', announced: { record, snapshot } });
  }

  #fill(): void {
    if (this.waitingBytes >= this.#settings.limits.writableBytes) this.#isWritable = false;
  }
}
