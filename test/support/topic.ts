import { Kafka, logLevel, Partitioners } from 'kafkajs';
import type { Admin, IHeaders, Producer } from 'kafkajs';
import { mendRequestQueue } from '../../packages/transport/src/kafka/kafkajs/request-queue.ts';
import { createBroker } from '../../packages/transport/src/kafka/kafkajs/broker.ts';
import type { ReceivedRecord } from '../../packages/transport/src/kafka/records.ts';
import { strictReport } from './reports.ts';

const ANSWER_MS = 10_000;

export interface Written {
  readonly key?: Buffer | string | null | undefined;
  readonly value: Buffer | null;
  readonly headers?: IHeaders | undefined;
}

export interface RecordOptions {
  /**
   * `commit` or `abort`: written in a transaction that ends so; `leave`: in one that does not end before its time is
   * over.
   */
  readonly transaction?: 'commit' | 'abort' | 'leave';
  readonly partition?: number;
}

/**
 * A topic as others have it in hand: people with an administrator's tools, and programs that write where they should
 * not.
 */
export class Topic implements AsyncDisposable {
  readonly name: string;
  readonly snapshots: string;
  readonly control: string;
  readonly #broker: string;
  readonly #kafka: Kafka;
  readonly #admin: Admin;
  #producer: Producer | undefined;
  #transactional: Producer | undefined;

  private constructor(broker: string, name: string) {
    this.name = name;
    this.snapshots = `${name}.snapshot`;
    this.control = `${name}.control`;
    this.#broker = broker;
    // Its warnings would be mixed with the tests' own lines.
    mendRequestQueue();
    this.#kafka = new Kafka({ clientId: 'somebody-else', brokers: [broker], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 30 } });
    this.#admin = this.#kafka.admin();
  }

  static async at(broker: string, name: string): Promise<Topic> {
    const topic = new Topic(broker, name);
    await topic.#admin.connect();
    return topic;
  }

  /** Makes the topic itself, or another one of the three. Those that are missing are left to the primary. */
  async create(partitions = 1, config: { readonly [name: string]: string } = {}, topic = this.name): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await this.#admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }], waitForLeaders: true });
  }

  async remove(...topics: readonly string[]): Promise<void> {
    await this.#admin.deleteTopics({ topics: topics.length === 0 ? [this.name] : [...topics] });
  }

  async offsets(topic = this.name, partition = 0): Promise<{ readonly low: number; readonly high: number }> {
    const all = await this.#admin.fetchTopicOffsets(topic);
    const found = all.find(each => each.partition === partition);
    return { low: Number(found?.low ?? -1), high: Number(found?.high ?? -1) };
  }

  /** What a group has committed for the topic; -1: nothing. */
  async committed(groupId: string): Promise<number> {
    const [found] = await this.#admin.fetchOffsets({ groupId, topics: [this.name] });
    return Number(found?.partitions[0]?.offset ?? -1);
  }

  /** As retention does: everything before `offset` is gone, or everything there is. */
  async deleteBefore(offset?: number, topic = this.name): Promise<number> {
    // kafkajs finds the leader only of topics that it has looked at.
    const { high } = await this.offsets(topic);
    const before = offset ?? high;
    await this.#admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] });
    return before;
  }

  /** All records in the topic, without markers of transactions. */
  async records(topic = this.name): Promise<ReceivedRecord[]> {
    const broker = createBroker({ connection: { brokers: [this.#broker] }, report: strictReport, answerMs: ANSWER_MS });
    await using reader = await broker.openReader({ topic, partition: 0 });
    const records: ReceivedRecord[] = [];
    const { low, high } = await reader.offsets();
    for (let at = low; at < high;) {
      const fetched = await reader.fetch(at);
      records.push(...fetched.records);
      at = fetched.next;
    }
    return records;
  }

  async write(records: readonly Written[], { transaction, partition = 0 }: RecordOptions = {}, topic = this.name): Promise<void> {
    const messages = records.map(({ key = null, value, headers }) => ({ key, value, partition, ...(headers && { headers }) }));
    if (transaction === undefined) {
      this.#producer ??= await this.#connect();
      await this.#producer.send({ topic, messages });
      return;
    }
    this.#transactional ??= await this.#connect(`somebody-else-${this.name}`);
    const running = await this.#transactional.transaction();
    await running.send({ topic, messages });
    if (transaction !== 'leave') await running[transaction]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#producer?.disconnect(), this.#transactional?.disconnect(), this.#admin.disconnect()]);
  }

  async #connect(transactionalId?: string): Promise<Producer> {
    const createPartitioner = Partitioners.DefaultPartitioner;
    const transactional = transactionalId === undefined ? {} : { transactionalId, maxInFlightRequests: 1, idempotent: true };
    const producer = this.#kafka.producer({ createPartitioner, allowAutoTopicCreation: false, ...transactional });
    await producer.connect();
    return producer;
  }
}
