import { EvertreeError } from '@evertree/core';
import type { Reporter } from '@evertree/core';
import kafkajs from 'kafkajs';
import type { Admin, ITopicMetadata } from 'kafkajs';
import { createClient } from './client.ts';
import { createCluster } from './cluster.ts';
import type { OwnCluster } from './cluster.ts';
import { explain } from './failures.ts';
import type { Explanation } from './failures.ts';
import { DEFAULT_LIMITS } from './options.ts';
import type { KafkaConnection } from './options.ts';

/*
 * Looks at the brokers and topics of a configuration without changing anything: what is there, how it is set, and what this user may.
 * Whether that is good is for whoever asked.
 */

export interface InspectionOptions {
  readonly connection: KafkaConnection;
  readonly report: Reporter;
  readonly topics: readonly string[];
  /** Those of the topics that this user has to write to. */
  readonly written: readonly string[];
  /** A group that this user commits offsets of. */
  readonly group: string | undefined;
}

export interface Inspection {
  readonly brokers: readonly { readonly id: number; readonly address: string }[];
  readonly topics: readonly TopicInspection[];
  /** A broker's own settings, which new topics get; undefined where none of the topics would be new, or this user may not see them. */
  readonly defaults: ReadonlyMap<string, string> | undefined;
  /** What this user may not, or what went wrong when it was tried. */
  readonly refusals: readonly Refusal[];
}

export interface TopicInspection {
  readonly name: string;
  /** Undefined where there is no such topic, or this user may not see it. */
  readonly partitions: readonly PartitionInspection[] | undefined;
  /** Undefined where there is no such topic, or this user may not see its settings. */
  readonly settings: ReadonlyMap<string, string> | undefined;
}

export interface PartitionInspection {
  readonly partition: number;
  readonly replicas: number;
  readonly inSync: number;
  /** Undefined where this user may not see them. */
  readonly records: bigint | undefined;
}

export interface Refusal {
  /** The topic, the group or the brokers. */
  readonly subject: string;
  readonly operation: 'see' | 'read' | 'write' | 'create' | 'see the settings of' | 'commit offsets of';
  readonly explanation: Explanation;
}

/** No topic has such a partition, and none such an offset: a broker looks at the rights first, and then has nothing to do. */
const NO_PARTITION = 2_147_483_647;
const NO_OFFSET = '9223372036854775806';
const TOPIC = kafkajs.ConfigResourceTypes.TOPIC;
const BROKER = kafkajs.ConfigResourceTypes.BROKER;

/** @throws EvertreeError UNREACHABLE or UNAUTHENTICATED when no broker lets this client in */
export async function inspectTopics(options: InspectionOptions): Promise<Inspection> {
  const { connection, report } = options;
  const client = createClient(connection, report);
  const own = createCluster({ connection, report, answerMs: DEFAULT_LIMITS.answerMs });
  const admin = client.admin();
  try {
    await Promise.all([admin.connect(), own.cluster.connect()]);
    return await new Inspector(options, admin, own).inspect();
  } catch (error) {
    throw explain(error, connection).error;
  } finally {
    client.abandon();
    own.abandon();
    // The sockets are cut; what is left are kafkajs's own notes of them.
    await Promise.allSettled([admin.disconnect(), own.cluster.disconnect()]);
  }
}

class Inspector {
  readonly #options: InspectionOptions;
  readonly #admin: Admin;
  readonly #own: OwnCluster;
  readonly #refusals: Refusal[] = [];

  constructor(options: InspectionOptions, admin: Admin, own: OwnCluster) {
    this.#options = options;
    this.#admin = admin;
    this.#own = own;
  }

  async inspect(): Promise<Inspection> {
    const { brokers } = await this.#admin.describeCluster();
    await this.#own.cluster.refreshMetadata();
    const topics: TopicInspection[] = [];
    for (const name of this.#options.topics) topics.push(await this.#topic(name));
    await this.#group();
    const isComplete = topics.every(({ partitions }) => partitions !== undefined);
    return {
      brokers: brokers.map(({ nodeId, host, port }) => ({ id: nodeId, address: `${host}:${port}` })),
      topics,
      defaults: isComplete ? undefined : await this.#settings(BROKER, String(brokers[0]?.nodeId ?? 0), 'the brokers'),
      refusals: this.#refusals,
    };
  }

  async #topic(name: string): Promise<TopicInspection> {
    const metadata = await this.#try(name, 'see', () => this.#metadata(name));
    const isHidden = metadata === undefined;
    if (metadata === null && this.#options.written.includes(name)) await this.#try(name, 'create', () => this.#mayCreate(name));
    if (!isHidden) {
      await this.#try(name, 'read', () => this.#mayRead(name));
      if (this.#options.written.includes(name)) await this.#try(name, 'write', () => this.#mayWrite(name));
    }
    if (metadata === undefined || metadata === null) return { name, partitions: undefined, settings: undefined };
    const records = await this.#try(name, 'see', () => this.#records(name));
    const partitions = metadata.partitions.map(({ partitionId, replicas, isr }) => ({
      partition: partitionId,
      replicas: replicas.length,
      inSync: isr.length,
      records: records?.get(partitionId),
    }));
    return { name, partitions, settings: await this.#settings(TOPIC, name, name) };
  }

  /** null: there is no such topic. */
  async #metadata(topic: string): Promise<ITopicMetadata | null> {
    try {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [topic] });
      return topics[0] ?? null;
    } catch (error) {
      if (typeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return null;
      throw error;
    }
  }

  async #records(topic: string): Promise<Map<number, bigint>> {
    const offsets = await this.#admin.fetchTopicOffsets(topic);
    return new Map(offsets.map(({ partition, low, high }) => [partition, BigInt(high) - BigInt(low)]));
  }

  async #settings(type: typeof TOPIC | typeof BROKER, name: string, subject: string): Promise<Map<string, string> | undefined> {
    return this.#try(subject, 'see the settings of', async () => {
      const { resources } = await this.#admin.describeConfigs({ includeSynonyms: false, resources: [{ type, name }] });
      return new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue ?? '']));
    });
  }

  async #mayCreate(topic: string): Promise<void> {
    await this.#admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic, numPartitions: 1 }] });
  }

  async #mayRead(topic: string): Promise<void> {
    const request = { isolationLevel: this.#own.isolationLevel, maxWaitTime: 0, minBytes: 0, maxBytes: 1 };
    const partitions = [{ partition: 0, fetchOffset: NO_OFFSET, maxBytes: 1 }];
    await this.#probe(broker => broker.fetch({ ...request, topics: [{ topic, partitions }] }));
  }

  async #mayWrite(topic: string): Promise<void> {
    const partitions = [{ partition: NO_PARTITION, firstSequence: 0, messages: [{ value: Buffer.alloc(0) }] }];
    await this.#probe(broker => broker.produce({ topicData: [{ topic, partitions }], acks: -1 }));
  }

  async #group(): Promise<void> {
    const groupId = this.#options.group;
    if (groupId === undefined) return;
    await this.#try(groupId, 'commit offsets of', async () => {
      try {
        await this.#admin.fetchOffsets({ groupId });
      } catch (error) {
        // A coordinator that is only just found out about says nothing of rights, and nothing depends on it.
        if (explain(error, this.#options.connection).lasting) throw error;
      }
    });
  }

  /** Whatever a broker answers but that it is not allowed, comes after it has looked at the rights. */
  async #probe(ask: (broker: Awaited<ReturnType<OwnCluster['cluster']['findBroker']>>) => Promise<unknown>): Promise<void> {
    const { cluster } = this.#own;
    const [nodeId] = cluster.getNodeIds();
    if (nodeId === undefined) throw new EvertreeError('UNREACHABLE', 'the cluster has no brokers');
    try {
      await ask(await cluster.findBroker({ nodeId }));
    } catch (error) {
      const { error: explained } = explain(error, this.#options.connection);
      if (explained.code === 'FORBIDDEN' || typeOf(error) === '') throw error;
    }
  }

  async #try<T>(subject: string, operation: Refusal['operation'], task: () => Promise<T>): Promise<T | undefined> {
    try {
      return await task();
    } catch (error) {
      this.#refusals.push({ subject, operation, explanation: explain(error, this.#options.connection) });
      return undefined;
    }
  }
}

function typeOf(error: unknown): string {
  return error instanceof Error && 'type' in error && typeof error.type === 'string' ? error.type : '';
}
