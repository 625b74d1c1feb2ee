import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import { isKafkaError } from '../broker.ts';
import type {
  Broker,
  BrokerNode,
  BrokerOptions,
  NewTopic,
  PartitionReader,
  ReaderOptions,
  RecordWriter,
  Right,
  TopicPartition,
  Watermarks,
  WriterOptions,
} from '../broker.ts';
import { BatchReader } from '../client/batch-reader.ts';
import { BatchWriter } from '../client/batch-writer.ts';
import { Calls } from '../client/calls.ts';
import { BrokerParts } from '../client/parts.ts';
import { emptyFetch, isRefusal } from '../client/rights.ts';
import { ACKS, ADMIN_ANSWER_MS, NO_GENERATION, NO_MEMBER, NO_PARTITION } from '../client/settings.ts';
import { createClient } from './client.ts';
import { explain } from './failures.ts';
import { OwnCluster } from './cluster.ts';

/** The brokers, by kafkajs. Connects nowhere yet. */
export function createBroker(options: BrokerOptions): Broker {
  return new KafkajsBroker(options);
}

class KafkajsBroker implements Broker {
  readonly #options: BrokerOptions;
  /** Readers, writers, and the two below. */
  readonly #parts = new BrokerParts();
  #admin: { readonly admin: Admin; readonly calls: Calls; readonly connected: Promise<void> } | undefined;
  #cluster: { readonly own: OwnCluster; readonly calls: Calls } | undefined;

  constructor(options: BrokerOptions) {
    this.#options = options;
  }

  async nodes(): Promise<readonly BrokerNode[]> {
    const { brokers } = await this.#administer(admin => admin.describeCluster());
    return brokers.map(({ nodeId, host, port }) => ({ id: nodeId, address: `${host}:${port}` }));
  }

  async metadata(topic: string): Promise<readonly TopicPartition[] | undefined> {
    try {
      const { topics } = await this.#administer(admin => admin.fetchTopicMetadata({ topics: [topic] }));
      return topics[0]?.partitions.map(({ partitionId, replicas, isr }) => ({
        partition: partitionId,
        replicas: replicas.length,
        inSync: isr.length,
      }));
    } catch (error) {
      if (isKafkaError(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return undefined;
      throw error;
    }
  }

  async listOffsets(topic: string): Promise<ReadonlyMap<number, Watermarks>> {
    const offsets = await this.#administer(admin => admin.fetchTopicOffsets(topic));
    return new Map(offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]));
  }

  async describeConfigs(kind: 'topic' | 'broker', name: string): Promise<ReadonlyMap<string, string>> {
    const { TOPIC, BROKER } = kafkajs.ConfigResourceTypes;
    const resources = [{ type: kind === 'topic' ? TOPIC : BROKER, name }];
    const answer = await this.#administer(admin => admin.describeConfigs({ includeSynonyms: false, resources }));
    return new Map(answer.resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue ?? '']));
  }

  createTopics(topics: readonly NewTopic[]): Promise<void> {
    return this.#create(topics, false);
  }

  async deleteRecords(topic: string, partition: number, before: bigint): Promise<void> {
    await this.#administer(async admin => {
      // kafkajs looks for the partition's leader before it has asked for any.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: before.toString() }] });
    });
  }

  async commitOffset(group: string, topic: string, partition: number, offset: bigint): Promise<void> {
    await this.#below(async ({ cluster }) => {
      const coordinator = await cluster.findGroupCoordinator({ groupId: group });
      await coordinator.offsetCommit({
        groupId: group,
        groupGenerationId: NO_GENERATION,
        memberId: NO_MEMBER,
        topics: [{ topic, partitions: [{ partition, offset: offset.toString() }] }],
      });
    });
  }

  async probe(right: Right, name: string): Promise<void> {
    try {
      await this.#probe(right, name);
    } catch (error) {
      if (isRefusal(right, error)) throw error;
    }
  }

  async openReader(options: ReaderOptions): Promise<PartitionReader> {
    return this.#parts.open(new BatchReader(this.#options, options, new OwnCluster(this.#options), explain));
  }

  async openWriter(options: WriterOptions): Promise<RecordWriter> {
    const { connection, report } = this.#options;
    const cluster = new OwnCluster({ connection, report, answerMs: options.answerMs });
    return this.#parts.open(new BatchWriter(this.#options, options, cluster, explain));
  }

  abandon(): void {
    this.#parts.abandon();
  }

  close(): Promise<void> {
    return this.#parts.close();
  }

  #probe(right: Right, name: string): Promise<unknown> {
    switch (right) {
      case 'create':
        return this.#create([{ topic: name, partitions: 1, settings: {} }], true);
      case 'commit':
        return this.#administer(admin => admin.fetchOffsets({ groupId: name }));
      case 'read':
        return this.#below(async own => own.fetchFrom(await own.anyNode(), emptyFetch(name)));
      case 'write': {
        const partitions = [{ partition: NO_PARTITION, firstSequence: 0, messages: [{ value: Buffer.alloc(0) }] }];
        return this.#below(async own => (await own.anyNode()).produce({ topicData: [{ topic: name, partitions }], acks: ACKS.all }));
      }
    }
  }

  async #create(topics: readonly NewTopic[], validateOnly: boolean): Promise<void> {
    const made = topics.map(({ topic, partitions, settings }) => ({
      topic,
      numPartitions: partitions,
      configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
    }));
    await this.#administer(admin => admin.createTopics({ validateOnly, waitForLeaders: !validateOnly, topics: made }));
  }

  #administer<T>(ask: (admin: Admin) => Promise<T>): Promise<T> {
    this.#admin ??= this.#connectAdmin();
    const { admin, calls, connected } = this.#admin;
    return calls.call(connected.then(() => ask(admin)));
  }

  #connectAdmin() {
    const client = createClient(this.#options.connection, this.#options.report, this.#adminAnswerMs);
    const admin = client.admin();
    this.#parts.add({
      abandon: () => client.abandon(),
      close: () => admin.disconnect().catch(() => undefined),
    });
    return { admin, calls: new Calls(this.#options, client, explain), connected: admin.connect() };
  }

  get #adminAnswerMs(): number {
    return this.#options.clock === undefined ? this.#options.answerMs : ADMIN_ANSWER_MS;
  }

  /** Sends requests that kafkajs's clients can't send, over a connection of its own. */
  #below<T>(ask: (own: OwnCluster) => Promise<T>): Promise<T> {
    this.#cluster ??= this.#connectCluster();
    const { own, calls } = this.#cluster;
    return calls.call(own.connect().then(() => ask(own)));
  }

  #connectCluster() {
    const own = new OwnCluster(this.#options);
    this.#parts.add(own);
    return { own, calls: new Calls(this.#options, own, explain) };
  }
}
