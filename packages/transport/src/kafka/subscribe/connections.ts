import type { Broker, PartitionReader, RecordWriter } from '../broker.ts';
import type { SentRecord } from '../records.ts';
import { topicNames } from '../topics.ts';
import type { TopicNames } from '../topics.ts';
import type { SubscribeSettings } from './settings.ts';

/** The only partition of `.control` and of `.snapshot`. */
const PARTITION = 0;

/** What a secondary asks of the broker, with the names and the settings that it uses for it. */
export class Connections {
  readonly #settings: SubscribeSettings;
  readonly #broker: Broker;
  readonly #topics: TopicNames;
  #writer: Promise<RecordWriter> | undefined;

  constructor(settings: SubscribeSettings, broker: Broker) {
    this.#settings = settings;
    this.#broker = broker;
    this.#topics = topicNames(settings.topic);
  }

  openTopic(partition: number): Promise<PartitionReader> {
    return this.#open(this.#topics.frames, partition);
  }

  openSnapshots(): Promise<PartitionReader> {
    return this.#open(this.#topics.snapshots, PARTITION);
  }

  openControl(): Promise<PartitionReader> {
    return this.#open(this.#topics.control, PARTITION);
  }

  /** Writes records to `.control`. Rejects when the broker did not take them all. */
  async tell(records: readonly SentRecord[]): Promise<void> {
    // What is told in `.control` is told again soon: the leader's word is enough.
    this.#writer ??= this.#broker.openWriter({ acks: 'leader', answerMs: this.#settings.limits.answerMs });
    const writer = this.#writer;
    try {
      await (await writer).send(this.#topics.control, PARTITION, records);
    } catch (error) {
      // A writer that failed is replaced. Without its connections it is closed at once.
      this.#writer = undefined;
      void writer.then(connected => connected.close()).catch(() => undefined);
      throw error;
    }
  }

  /** Commits an offset for people's dashboards. @param offset of the next record to be read */
  async commit(partition: number, offset: bigint): Promise<void> {
    const { groupId, site } = this.#settings;
    await this.#broker.commitOffset(`${groupId}.${site}`, this.#topics.frames, partition, offset);
  }

  /** Whatever waits for an answer fails now. */
  abandon(): void {
    this.#broker.abandon();
  }

  /** Bounded, whatever the broker does. */
  close(): Promise<void> {
    return this.#broker.close();
  }

  #open(topic: string, partition: number): Promise<PartitionReader> {
    const { fetch, readCommitted } = this.#settings;
    const { minBytes, maxWaitMs } = fetch ?? {};
    const maxBytes = Math.min(fetch?.partitionBytes ?? Infinity, fetch?.maxBytes ?? Infinity);
    return this.#broker.openReader({
      topic,
      partition,
      readUncommitted: readCommitted !== true,
      maxWaitMs,
      minBytes,
      maxBytes: Number.isFinite(maxBytes) ? maxBytes : undefined,
    });
  }
}
