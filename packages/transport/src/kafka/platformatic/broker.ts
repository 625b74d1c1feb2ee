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
import { Calls, clientPatience } from '../client/calls.ts';
import { BrokerParts } from '../client/parts.ts';
import { emptyFetch, isRefusal } from '../client/rights.ts';
import { ACKS, ADMIN_ANSWER_MS, NO_GENERATION, NO_MEMBER, NO_PARTITION, READ_UNCOMMITTED } from '../client/settings.ts';
import { BatchReader } from '../client/batch-reader.ts';
import { BatchWriter } from '../client/batch-writer.ts';
import { EARLIEST, LATEST } from '../client/record-wire.ts';
import { Cluster, nodeOf } from './cluster.ts';
import { isOnly } from './errors.ts';
import { explain } from './failures.ts';
import { FetchRequest } from './fetch-request.ts';
import type { Library } from './library.ts';

const ANY_EPOCH = -1;
/** Kafka's numbers of what has settings. */
const RESOURCES = { topic: 2, broker: 4 } as const;
/** As many replicas as the brokers' `default.replication.factor` says. */
const DEFAULT_REPLICAS = -1;

/** The brokers, by @platformatic/kafka. Connects nowhere yet. */
export function createBroker(library: Library, options: BrokerOptions): Broker {
  return new PlatformaticBroker(library, options);
}

class PlatformaticBroker implements Broker {
  readonly #library: Library;
  readonly #options: BrokerOptions;
  /** Readers, writers, and what administers. */
  readonly #parts = new BrokerParts();
  #admin: { readonly cluster: Cluster; readonly calls: Calls } | undefined;

  constructor(library: Library, options: BrokerOptions) {
    this.#library = library;
    this.#options = options;
  }

  nodes(): Promise<readonly BrokerNode[]> {
    return this.#administer(async cluster => {
      const { brokers } = await cluster.metadata([]);
      return brokers.map(({ nodeId, host, port }) => ({ id: nodeId, address: `${host}:${port}` }));
    });
  }

  metadata(topic: string): Promise<readonly TopicPartition[] | undefined> {
    return this.#administer(async cluster => {
      try {
        const found = await cluster.topic(topic);
        return found.topic.partitions
          .map(({ partitionIndex, replicaNodes, isrNodes }) => ({
            partition: partitionIndex,
            replicas: replicaNodes.length,
            inSync: isrNodes.length,
          }))
          .toSorted((a, b) => a.partition - b.partition);
      } catch (error) {
        // An answer, and no failure that may pass.
        if (isOnly('UNKNOWN_TOPIC_OR_PARTITION', error)) return undefined;
        throw error;
      }
    });
  }

  listOffsets(topic: string): Promise<ReadonlyMap<number, Watermarks>> {
    return this.#administer(async cluster => {
      const found = await cluster.topic(topic);
      const partitions = found.topic.partitions.map(({ partitionIndex }) => partitionIndex).toSorted((a, b) => a - b);
      const ends = partitions.map(async partition => {
        const [low, high] = await Promise.all([EARLIEST, LATEST].map(end => cluster.offset(topic, partition, end, READ_UNCOMMITTED)));
        return [partition, { low: low!, high: high! }] as const;
      });
      return new Map(await Promise.all(ends));
    });
  }

  describeConfigs(kind: 'topic' | 'broker', name: string): Promise<ReadonlyMap<string, string>> {
    return this.#administer(async cluster => {
      const { describeConfigs } = cluster.nodes.requests;
      const resources = [{ resourceType: RESOURCES[kind], resourceName: name, configurationKeys: null }];
      const ask = (connection: Parameters<typeof describeConfigs.async>[0]) => describeConfigs.async(connection, resources, false);
      const node = kind === 'broker' ? nodeOf((await cluster.metadata([])).brokers, Number(name)) : undefined;
      const { results } = await (node === undefined ? cluster.askAny(ask) : cluster.nodes.ask(node, ask));
      return new Map(results[0]?.configs.map(config => [config.name, config.value ?? '']));
    });
  }

  async createTopics(topics: readonly NewTopic[]): Promise<void> {
    await this.#create(topics, false);
    await this.#administer(async cluster => {
      for (const { topic } of topics) await cluster.topic(topic);
    });
  }

  async deleteRecords(topic: string, partition: number, before: bigint): Promise<void> {
    await this.#administer(cluster => {
      const { deleteRecords } = cluster.nodes.requests;
      const topics = [{ name: topic, partitions: [{ partitionIndex: partition, offset: before }] }];
      return cluster.askLeader(topic, partition, connection => deleteRecords.async(connection, topics, this.#adminAnswerMs));
    });
  }

  async commitOffset(group: string, topic: string, partition: number, offset: bigint): Promise<void> {
    await this.#administer(cluster => {
      const { offsetCommit } = cluster.nodes.requests;
      const topics = [
        { name: topic, partitions: [{ partitionIndex: partition, committedOffset: offset, committedLeaderEpoch: ANY_EPOCH }] },
      ];
      return cluster.askCoordinator(group, connection => offsetCommit.async(connection, group, NO_GENERATION, NO_MEMBER, null, topics));
    });
  }

  async probe(right: Right, name: string): Promise<void> {
    try {
      await this.#probe(right, name);
    } catch (error) {
      if (isRefusal(right, error)) throw error;
    }
  }

  openReader(options: ReaderOptions): Promise<PartitionReader> {
    const cluster = new Cluster(this.#library, { ...clientPatience(this.#options), clock: this.#options.clock });
    return this.#parts.open(new BatchReader(this.#options, options, cluster, explain));
  }

  openWriter(options: WriterOptions): Promise<RecordWriter> {
    const { connection, clock } = this.#options;
    const cluster = new Cluster(this.#library, { connection, answerMs: options.answerMs, clock });
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
        return this.#administer(cluster => {
          const { offsetFetch } = cluster.nodes.requests;
          return cluster.askCoordinator(name, connection => offsetFetch.async(connection, [{ groupId: name, topics: null }], false));
        });
      case 'read':
        return this.#once(cluster => cluster.askAny(connection => new FetchRequest(this.#library).send(connection, emptyFetch(name))));
      case 'write': {
        const messages = [{ topic: name, partition: NO_PARTITION, value: Buffer.alloc(0) }];
        return this.#once(cluster =>
          cluster.askAny(connection => cluster.nodes.requests.produce.async(connection, ACKS.all, this.#adminAnswerMs, messages)),
        );
      }
    }
  }

  async #create(topics: readonly NewTopic[], validateOnly: boolean): Promise<void> {
    const made = topics.map(({ topic, partitions, settings }) => ({
      name: topic,
      numPartitions: partitions,
      replicationFactor: DEFAULT_REPLICAS,
      assignments: [],
      configs: Object.entries(settings).map(([name, value]) => ({ name, value })),
    }));
    await this.#administer(async cluster => {
      const { brokers, controllerId } = await cluster.metadata([]);
      const { createTopics } = cluster.nodes.requests;
      const ask = (connection: Parameters<typeof createTopics.async>[0]) =>
        createTopics.async(connection, made, this.#adminAnswerMs, validateOnly);
      const controller = nodeOf(brokers, controllerId);
      try {
        await (controller === undefined ? cluster.askAny(ask) : cluster.nodes.ask(controller, ask));
      } catch (error) {
        // Another site was quicker.
        if (!isOnly('TOPIC_ALREADY_EXISTS', error)) throw error;
      }
    });
  }

  #administer<T>(ask: (cluster: Cluster) => Promise<T>): Promise<T> {
    return this.#once(cluster => cluster.retrying(() => ask(cluster)));
  }

  /** Without attempts: for what is expected to be refused with a name that else would be tried again. */
  #once<T>(ask: (cluster: Cluster) => Promise<T>): Promise<T> {
    this.#admin ??= this.#connectAdmin();
    const { cluster, calls } = this.#admin;
    return calls.call(ask(cluster));
  }

  #connectAdmin() {
    const cluster = new Cluster(this.#library, { ...clientPatience(this.#options), clock: this.#options.clock });
    this.#parts.add(cluster);
    return { cluster, calls: new Calls(this.#options, cluster.nodes, explain) };
  }

  get #adminAnswerMs(): number {
    return this.#options.clock === undefined ? this.#options.answerMs : ADMIN_ANSWER_MS;
  }
}
