import { isEvertreeError, Signal, Turn } from '@evertree/core';
import type { Message } from '@evertree/core';
import type { Delivery } from '../../wire/delivery.ts';
import type { TopicClaims } from '../claims/topic-claims.ts';
import type { NewestTable } from '../newest-table.ts';
import { isKafkaError } from '../broker.ts';
import type { PartitionReader } from '../broker.ts';
import { topicNames } from '../topics.ts';
import type { TopicAccess } from './topic-access.ts';
import type { SubscribeAnswer, SubscribeRequest } from './actions.ts';
import { FrameRecords } from './frame-records.ts';
import type { PlacedFrame } from './frame-records.ts';
import { RecordSource } from './record-source.ts';
import type { SubscriberSettings } from './settings.ts';
import { SnapshotMessages } from './snapshot-messages.ts';

const OUT_OF_RANGE = 'OFFSET_OUT_OF_RANGE';

/** By what the records of a topic are passed over. */
interface PassedOverBy {
  readonly table: NewestTable;
  readonly claims: TopicClaims;
}

/** Does for one link what its SecondaryEnd requests of the broker, and only as fast as the link takes messages. */
export class TopicDriver {
  readonly #settings: SubscriberSettings;
  readonly #access: TopicAccess;
  readonly #reader: PartitionReader;
  readonly #delivery: Delivery;
  readonly #records: RecordSource;
  readonly #frames: FrameRecords;
  /** The frame that a look found. It is the next one to be read, unless the machine seeks another offset. */
  #found: PlacedFrame | undefined;
  /** The reader of `.snapshot`; open from `find-snapshot` to the end of the copy, or to the next search. */
  #snapshots: PartitionReader | undefined;
  #snapshotBytes = 0;
  /** Handing up frames never holds the event loop for long. */
  readonly #turn: Turn;
  /** Ends a `wait`. */
  readonly #news = new Signal();

  /**
   * @param reader of the primary's partition of the topic; connected, and closed with this
   * @param end names what is passed over: what is beside its table of epochs, or behind a claim
   */
  constructor(settings: SubscriberSettings, access: TopicAccess, reader: PartitionReader, delivery: Delivery, end: PassedOverBy) {
    this.#settings = settings;
    this.#access = access;
    this.#reader = reader;
    this.#delivery = delivery;
    this.#turn = new Turn(settings.clock);
    this.#records = new RecordSource(reader);
    this.#frames = new FrameRecords(settings.topic, settings.report, end.table, end.claims);
  }

  /** Values read so far. */
  get receivedBytes(): number {
    return this.#records.receivedBytes + this.#snapshotBytes;
  }

  /** The next `read` begins at this offset. */
  seek(offset: bigint): void {
    this.#found = undefined;
    this.#records.seek(offset);
    this.#frames.reset();
  }

  /**
   * Answers at once where a frame is there and the link takes it: frames are handed up without awaits between them.
   * @param stream whose frames are wanted; null: anybody's
   * @returns undefined when the link is over
   */
  answer(request: SubscribeRequest, stream: string | null): SubscribeAnswer | undefined | Promise<SubscribeAnswer | undefined> {
    switch (request.type) {
      case 'read': {
        const mayHand = !this.#turn.over && this.#delivery.flows;
        return (mayHand ? this.#take(stream) : undefined) ?? unlessOutOfRange(this.#read(stream));
      }
      case 'locate':
        return this.#locate(request.time);
      case 'look':
        return unlessOutOfRange(this.#look(request, stream));
      case 'find-snapshot':
        return this.#findSnapshot();
      case 'copy':
        return this.#copy(request);
      case 'wait':
        return this.#wait();
    }
  }

  /** Something happened that a `wait` waits for. */
  wake(): void {
    this.#news.notify();
  }

  /** Cuts its connections: a request that is open fails. */
  async close(): Promise<void> {
    this.wake();
    await Promise.all([this.#reader.close(), this.#snapshots?.close()]);
  }

  /** The next frame of what has been fetched. */
  #take(stream: string | null): PlacedFrame | undefined {
    let placed = this.#found;
    this.#found = undefined;
    for (let record; placed === undefined && (record = this.#records.take()) !== undefined;) placed = this.#frames.take(record, stream);
    return placed;
  }

  async #read(stream: string | null): Promise<SubscribeAnswer | undefined> {
    if (this.#turn.over) await this.#turn.rest();
    if (!this.#delivery.flows) {
      await this.#delivery.flowing();
      this.#turn.restart();
    }
    if (this.#delivery.isOver) return undefined;
    const frame = this.#take(stream);
    if (frame !== undefined) return frame;
    const from = this.#records.next;
    const high = await this.#records.fill();
    this.#turn.restart();
    return { type: 'fetched', from, next: this.#records.next, high };
  }

  async #locate(time: number | undefined): Promise<SubscribeAnswer> {
    await Promise.all([this.#records.settle(), this.#snapshots?.close()]);
    const bounds = await this.#reader.offsets();
    const byTime = time === undefined ? undefined : await this.#reader.offsetAt(time);
    return { type: 'bounds', ...bounds, byTime };
  }

  async #look({ offset, end, claimsFrom }: SubscribeRequest & { type: 'look' }, stream: string | null): Promise<SubscribeAnswer> {
    if (claimsFrom !== undefined) await this.#lookForClaims(claimsFrom, offset, stream);
    this.seek(offset);
    for (;;) {
      this.#found = this.#take(stream);
      const from = this.#records.next;
      if (this.#found !== undefined || from >= end) break;
      await this.#records.fill(false);
      // Records of an open transaction can't be read yet: reading is at the end of what can be read.
      if (this.#records.next === from) break;
    }
    return { type: 'looked', header: this.#found?.frame.header };
  }

  async #lookForClaims(from: bigint, to: bigint, stream: string | null): Promise<void> {
    this.seek(from);
    while (this.#records.next < to && !this.#delivery.isOver) {
      const before = this.#records.next;
      await this.#records.fill(false);
      for (let record; (record = this.#records.take()) !== undefined;) if (BigInt(record.offset) < to) this.#frames.glance(record, stream);
      if (this.#records.next === before) return;
    }
  }

  async #findSnapshot(): Promise<SubscribeAnswer | undefined> {
    this.#snapshots = await this.#access.open(topicNames(this.#settings.topic).snapshots);
    if (this.#delivery.isOver) {
      await this.#snapshots.close();
      return undefined;
    }
    const { low } = await this.#snapshots.offsets();
    return { type: 'snapshots-begin', low };
  }

  /** Hands up the snapshot's messages, unless the link ends before. */
  async #copy({ snapshot, reason }: Extract<SubscribeRequest, { type: 'copy' }>): Promise<SubscribeAnswer | undefined> {
    if (this.#snapshots === undefined) return undefined;
    await using reader = this.#snapshots;
    const messages = new SnapshotMessages(
      { announced: snapshot, reason },
      topicNames(this.#settings.topic).snapshots,
      this.#settings.report,
    );
    const records = new RecordSource(reader);
    records.seek(BigInt(snapshot.begin));
    try {
      while (!this.#delivery.isOver) {
        const record = records.take();
        if (record === undefined) {
          await records.fill();
          continue;
        }
        this.#snapshotBytes += record.value?.length ?? 0;
        const message = messages.take(record);
        if (message !== undefined) await this.#hand(message);
        if (message?.type === 'snapshot-end') return { type: 'copied' };
      }
      return undefined;
    } catch (error) {
      if (!isKafkaError(error, OUT_OF_RANGE) && !isDamaged(error)) throw error;
      return { type: 'spoilt', why: error instanceof Error ? error.message : String(error) };
    }
  }

  async #wait(): Promise<SubscribeAnswer> {
    await this.#news.wait();
    return { type: 'woken' };
  }

  /** Hands a message up as soon as the link takes it, if it does not end before. */
  async #hand(message: Message): Promise<void> {
    if (!this.#delivery.flows) await this.#delivery.flowing();
    if (!this.#delivery.isOver) this.#delivery.hand(message);
  }
}

/** An offset that the topic does not have is an answer, too. */
async function unlessOutOfRange(answer: Promise<SubscribeAnswer | undefined>): Promise<SubscribeAnswer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isKafkaError(error, OUT_OF_RANGE)) return { type: 'out-of-range' };
    throw error;
  }
}

function isDamaged(error: unknown): boolean {
  return isEvertreeError(error) && (error.code === 'DAMAGED' || error.code === 'PROTOCOL_VIOLATION');
}
