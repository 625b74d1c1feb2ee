import { isEvertreeError } from '@evertree/core';
import type { Clock, Message } from '@evertree/core';
import type { Delivery } from '../../wire/delivery.ts';
import { isKafkaError } from '../broker.ts';
import type { PartitionReader } from '../broker.ts';
import type { Connections } from './connections.ts';
import type { Answer, Request } from './end-events.ts';
import { FrameSource } from './frame-source.ts';
import { RecordSource } from './record-source.ts';
import type { SubscribeSettings } from './settings.ts';
import { SnapshotMessages } from './snapshot-messages.ts';

/** The longest that handing up frames holds the event loop before others get a turn. */
const SLICE_MS = 5;
const OUT_OF_RANGE = 'OFFSET_OUT_OF_RANGE';

/** Does for one link what its SecondaryEnd requests of the broker, and only as fast as the link takes messages. */
export class RequestAnswerer {
  readonly #settings: SubscribeSettings;
  readonly #clock: Clock;
  readonly #connections: Connections;
  readonly #reader: PartitionReader;
  readonly #delivery: Delivery;
  readonly #frames: FrameSource;
  /** Of `.snapshot`, from `find-snapshot` to the end of the copy. */
  #snapshots: PartitionReader | undefined;
  #snapshotBytes = 0;
  /** Others get a turn then. */
  #sliceEnds = 0;
  /** Answers the `wait` that is open. */
  #wake: (() => void) | undefined;

  /** @param reader of the primary's partition of the topic; connected, and closed with this */
  constructor(settings: SubscribeSettings, connections: Connections, reader: PartitionReader, delivery: Delivery) {
    this.#settings = settings;
    this.#clock = settings.clock;
    this.#connections = connections;
    this.#reader = reader;
    this.#delivery = delivery;
    this.#frames = new FrameSource(reader, settings.topic, settings.report);
  }

  /** Values read so far. */
  get receivedBytes(): number {
    return this.#frames.receivedBytes + this.#snapshotBytes;
  }

  /** The next `read` begins at this offset. */
  seek(offset: bigint): void {
    this.#frames.seek(offset);
  }

  /**
   * Answers at once where a frame is there and the link takes it: frames are handed up without awaits between them.
   * @param stream whose frames are wanted; null: anybody's
   * @returns undefined when the link is over
   */
  answer(request: Request, stream: string | null): Answer | undefined | Promise<Answer | undefined> {
    switch (request.type) {
      case 'read': {
        const mayHand = this.#clock.monotonic() <= this.#sliceEnds && this.#delivery.flows;
        return (mayHand ? this.#frames.take(stream) : undefined) ?? unlessOutOfRange(this.#read(stream));
      }
      case 'locate':
        return this.#locate(request.time);
      case 'look':
        return unlessOutOfRange(this.#look(request.offset, request.end, stream));
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
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Cuts its connections: a request that is open fails. */
  async close(): Promise<void> {
    this.wake();
    await Promise.all([this.#reader.close(), this.#snapshots?.close()]);
  }

  async #read(stream: string | null): Promise<Answer | undefined> {
    if (this.#clock.monotonic() > this.#sliceEnds) await new Promise<void>(resolve => this.#clock.soon(resolve));
    if (!this.#delivery.flows) await this.#delivery.flowing();
    if (this.#delivery.isOver) return undefined;
    this.#sliceEnds = this.#clock.monotonic() + SLICE_MS;
    const frame = this.#frames.take(stream);
    if (frame !== undefined) return frame;
    const from = this.#frames.next;
    const high = await this.#frames.fill();
    this.#sliceEnds = this.#clock.monotonic() + SLICE_MS;
    return { type: 'fetched', from, next: this.#frames.next, high };
  }

  async #locate(time: number | undefined): Promise<Answer> {
    await this.#frames.settle();
    const bounds = await this.#reader.offsets();
    const byTime = time === undefined ? undefined : await this.#reader.offsetAt(time);
    return { type: 'bounds', ...bounds, byTime };
  }

  async #look(offset: bigint, end: bigint, stream: string | null): Promise<Answer> {
    const found = await this.#frames.look(offset, end, stream);
    return { type: 'looked', header: found?.frame.header };
  }

  async #findSnapshot(): Promise<Answer> {
    await this.#snapshots?.close();
    this.#snapshots = await this.#connections.openSnapshots();
    const { low } = await this.#snapshots.offsets();
    return { type: 'snapshots-begin', low };
  }

  /** Hands up the snapshot's messages, unless the link ends before. */
  async #copy({ snapshot, reason }: Extract<Request, { type: 'copy' }>): Promise<Answer | undefined> {
    if (this.#snapshots === undefined) return undefined;
    await using reader = this.#snapshots;
    const messages = new SnapshotMessages(snapshot, `${this.#settings.topic}.snapshot`, this.#settings.report);
    const records = new RecordSource(reader);
    records.seek(BigInt(snapshot.begin));
    try {
      await this.#hand({ type: 'snapshot-begin', header: snapshot.header, reason });
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

  /** Hands a message up as soon as the link takes it, if it does not end before. */
  async #hand(message: Message): Promise<void> {
    if (!this.#delivery.flows) await this.#delivery.flowing();
    if (!this.#delivery.isOver) this.#delivery.hand(message);
  }

  #wait(): Promise<Answer> {
    return new Promise(resolve => {
      this.#wake = () => resolve({ type: 'woken' });
    });
  }
}

/** An offset that the topic does not have is an answer, too: kafkajs's own readers would go on elsewhere without a word. */
async function unlessOutOfRange(answer: Promise<Answer | undefined>): Promise<Answer | undefined> {
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
