import { EvertreeError } from '@evertree/core';
import type { Broker, PartitionReader, RecordWriter } from '../broker.ts';
import { readRange } from '../publish/topic-connection.ts';
import type { PublisherSettings } from '../publish/settings.ts';
import type { ReceivedRecord, SentRecord } from '../records.ts';

/** The client's own bound for an answer to a batch. */
const ANSWER_MOST_MS = 60_000;

/** A topic and its `.control`, as a site has them that claims an epoch there. */
export class ClaimTopic {
  readonly broker: Broker;
  readonly #settings: PublisherSettings;
  readonly #frames: PartitionReader;
  readonly #control: PartitionReader;
  readonly #writer: RecordWriter;
  /** Where the next look at `.control` begins. */
  #controlNext: bigint | undefined;

  constructor(settings: PublisherSettings, broker: Broker, frames: PartitionReader, control: PartitionReader, writer: RecordWriter) {
    this.#settings = settings;
    this.broker = broker;
    this.#frames = frames;
    this.#control = control;
    this.#writer = writer;
  }

  /** The topic's first offset, and the one after its last. One call at a time, as for `read`. */
  ends(): Promise<{ readonly low: bigint; readonly high: bigint }> {
    return this.#frames.offsets();
  }

  async *read(from: bigint, to: bigint): AsyncGenerator<readonly ReceivedRecord[]> {
    for await (const { records } of readRange(this.#frames, from, to)) yield records.filter(({ offset }) => BigInt(offset) < to);
  }

  /** What `.control` has, or what came since the last look, up to where it ends now. */
  async *lookAtControl(): AsyncGenerator<readonly ReceivedRecord[]> {
    const { low, high } = await this.#control.offsets();
    const from = this.#controlNext ?? low;
    for await (const { records } of readRange(this.#control, from > low ? from : low, high)) yield records;
    this.#controlNext = high;
  }

  /** Every replica in sync has it. @returns its offset */
  write(record: SentRecord): Promise<bigint> {
    return this.#writer.send(this.#settings.topic, this.#settings.partition, [record]);
  }

  async tell(record: SentRecord): Promise<void> {
    await this.#writer.send(this.#settings.topics.control, 0, [record]);
  }
}

/**
 * Connects, and makes no topic.
 * @throws BrokerError; NOT_FOUND for a topic that no primary has made yet
 */
export async function openClaimTopic(broker: Broker, settings: PublisherSettings): Promise<ClaimTopic> {
  const { topics, partition, retries, idempotent, topic } = settings;
  const found = await broker.metadata(topics.frames);
  if (found === undefined) throw new EvertreeError('NOT_FOUND', `there is no topic ${topic}: no primary has written to it`);
  const reading = { readUncommitted: true };
  const [frames, control, writer] = await Promise.all([
    broker.openReader({ topic: topics.frames, partition, ...reading }),
    broker.openReader({ topic: topics.control, partition: 0, ...reading }),
    broker.openWriter({ acks: 'all', answerMs: ANSWER_MOST_MS, idempotent, retries }),
  ]);
  return new ClaimTopic(settings, broker, frames, control, writer);
}
