import { EvertreeError } from '@evertree/core';
import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import { BrokerError, isKafkaError } from '../broker.ts';
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
import { Calls } from './calls.ts';
import { createClient } from './client.ts';
import { OwnCluster, READ_COMMITTED } from './cluster.ts';
import { KafkajsReader } from './reader.ts';
import { KafkajsWriter } from './writer.ts';

/** The client's own bound for answers to an admin. Silence is found earlier. */
const ADMIN_ANSWER_MS = 60_000;
/** No topic has these: a broker looks at the rights first, and then has nothing to do. */
const NO_PARTITION = 2_147_483_647;
const NO_OFFSET = '9223372036854775806';
/**
 * Kafka's generation id for a commit by a client that is no member: the broker takes it while the group has no members.
 */
const NO_GENERATION = -1;
const NO_MEMBER = '';
const ACKS_ALL = -1;

/** The brokers, by kafkajs. Connects nowhere yet. */
export function createBroker(options: BrokerOptions): Broker {
  return new KafkajsBroker(options);
}

/** `isClosed` is undefined for what lives as long as the broker does. */
type BrokerPart = Pick<KafkajsReader, 'abandon' | 'close'> & { readonly isClosed?: boolean };

class KafkajsBroker implements Broker {
  readonly #options: BrokerOptions;
  /**
   * Everything with connections of its own: readers, writers, and the two below. Closed ones are removed when the next
   * is opened.
   */
  #parts: BrokerPart[] = [];
  #admin: { readonly admin: Admin; readonly calls: Calls; readonly connected: Promise<void> } | undefined;
  #cluster: { readonly own: OwnCluster; readonly calls: Calls; readonly connected: Promise<void> } | undefined;
  #abandoned = false;

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
    return this.#open(new KafkajsReader(this.#options, options));
  }

  async openWriter(options: WriterOptions): Promise<RecordWriter> {
    return this.#open(new KafkajsWriter(this.#options, options));
  }

  abandon(): void {
    this.#abandoned = true;
    for (const part of this.#parts) part.abandon();
  }

  async close(): Promise<void> {
    this.abandon();
    await Promise.all(this.#parts.map(part => part.close()));
  }

  async #open<Part extends KafkajsReader | KafkajsWriter>(part: Part): Promise<Part> {
    this.#add(part);
    try {
      await part.connect();
      return part;
    } catch (error) {
      // kafkajs takes a broker that did not answer its first request for connected from then on.
      await part.close();
      throw error;
    }
  }

  #add(part: BrokerPart): void {
    this.#parts = [...this.#parts.filter(({ isClosed }) => isClosed !== true), part];
    if (this.#abandoned) part.abandon();
  }

  #probe(right: Right, name: string): Promise<unknown> {
    switch (right) {
      case 'create':
        return this.#create([{ topic: name, partitions: 1, settings: {} }], true);
      case 'commit':
        return this.#administer(admin => admin.fetchOffsets({ groupId: name }));
      case 'read': {
        const partitions = [{ partition: 0, fetchOffset: NO_OFFSET, maxBytes: 1 }];
        const request = { isolationLevel: READ_COMMITTED, maxWaitTime: 0, minBytes: 0, maxBytes: 1 };
        return this.#below(async own => (await anyNode(own)).fetch({ ...request, topics: [{ topic: name, partitions }] }));
      }
      case 'write': {
        const partitions = [{ partition: NO_PARTITION, firstSequence: 0, messages: [{ value: Buffer.alloc(0) }] }];
        return this.#below(async own => (await anyNode(own)).produce({ topicData: [{ topic: name, partitions }], acks: ACKS_ALL }));
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
    this.#add({
      abandon: () => client.abandon(),
      close: () => admin.disconnect().catch(() => undefined),
    });
    return { admin, calls: new Calls(this.#options, client), connected: admin.connect() };
  }

  get #adminAnswerMs(): number {
    return this.#options.clock === undefined ? this.#options.answerMs : ADMIN_ANSWER_MS;
  }

  /** Sends requests that kafkajs's clients can't send, over a connection of its own. */
  #below<T>(ask: (own: OwnCluster) => Promise<T>): Promise<T> {
    this.#cluster ??= this.#connectCluster();
    const { own, calls, connected } = this.#cluster;
    return calls.call(connected.then(() => ask(own)));
  }

  #connectCluster() {
    const own = new OwnCluster(this.#options, READ_COMMITTED);
    this.#add(own);
    return { own, calls: new Calls(this.#options, own), connected: connectCluster(own) };
  }
}

/**
 * Whether an error says that the user lacks the right, or that no answer came. The broker gives every other answer
 * after it has checked the rights.
 */
function isRefusal(right: Right, error: unknown): boolean {
  if (right === 'create' || !(error instanceof BrokerError)) return true;
  // A coordinator that is not ready says nothing of rights.
  if (right === 'commit') return error.lasting;
  return error.code === 'FORBIDDEN' || error.kafka === undefined;
}

async function connectCluster({ cluster }: OwnCluster): Promise<void> {
  await cluster.connect();
  await cluster.refreshMetadata();
}

async function anyNode({ cluster }: OwnCluster) {
  const [nodeId] = cluster.getNodeIds();
  if (nodeId === undefined) throw new EvertreeError('UNREACHABLE', 'the cluster has no brokers');
  return cluster.findBroker({ nodeId });
}
