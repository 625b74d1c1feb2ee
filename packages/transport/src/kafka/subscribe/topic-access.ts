import type { Broker, PartitionReader, RecordWriter } from '../broker.ts';
import type { SentRecord } from '../records.ts';
import { topicNames } from '../topics.ts';
import type { SubscriberSettings } from './settings.ts';

/** What a secondary asks of the broker, with the settings that it uses for it. */
export class TopicAccess {
  readonly broker: Broker;
  readonly #settings: SubscriberSettings;
  #writer: Promise<RecordWriter> | undefined;

  constructor(settings: SubscriberSettings, broker: Broker) {
    this.broker = broker;
    this.#settings = settings;
  }

  /** @param partition `.control` and `.snapshot` have only the first one */
  open(topic: string, partition = 0): Promise<PartitionReader> {
    const { fetch, readCommitted } = this.#settings;
    const maxBytes = Math.min(fetch?.partitionBytes ?? Infinity, fetch?.maxBytes ?? Infinity);
    return this.broker.openReader({
      topic,
      partition,
      readUncommitted: readCommitted !== true,
      maxWaitMs: fetch?.maxWaitMs,
      minBytes: fetch?.minBytes,
      maxBytes: Number.isFinite(maxBytes) ? maxBytes : undefined,
    });
  }

  /** Writes records to `.control`. Rejects when the broker did not take them all. */
  async tell(records: readonly SentRecord[]): Promise<void> {
    const { topic, limits } = this.#settings;
    // Records in `.control` are repeated soon, so an answer of the leader alone is enough.
    this.#writer ??= this.broker.openWriter({ acks: 'leader', answerMs: limits.answerMs });
    const writer = this.#writer;
    try {
      await (await writer).send(topicNames(topic).control, 0, records);
    } catch (error) {
      // A writer that failed is replaced. Its connections are cut first, so that closing takes no time.
      this.#writer = undefined;
      void writer.then(connected => connected.close()).catch(() => undefined);
      throw error;
    }
  }
}
