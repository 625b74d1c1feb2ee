import type { Reporter } from '@evertree/core';
import { asBrokerError } from './broker.ts';
import type { Broker, BrokerError, BrokerNode, TopicPartition } from './broker.ts';
import type { MakeBroker } from './clients.ts';
import { DEFAULT_LIMITS } from './options.ts';
import type { KafkaConnection } from './options.ts';

/*
 * Looks at the brokers and topics of a configuration without changing anything: what is there, how it is set, and what
 * this user may. The caller judges what is found.
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
  readonly brokers: readonly BrokerNode[];
  readonly topics: readonly TopicInspection[];
  /** A broker's settings, which new topics get; undefined where no topic would be new, or they are hidden. */
  readonly defaults: ReadonlyMap<string, string> | undefined;
  /** What this user may not, or what went wrong when it was tried. */
  readonly refusals: readonly BrokerRefusal[];
}

export interface TopicInspection {
  readonly name: string;
  /** Undefined where there is no such topic, or this user may not see it. */
  readonly partitions: readonly PartitionInspection[] | undefined;
  /** Undefined where there is no such topic, or this user may not see its settings. */
  readonly settings: ReadonlyMap<string, string> | undefined;
}

export interface PartitionInspection extends TopicPartition {
  /** Undefined where this user may not see them. */
  readonly records: bigint | undefined;
}

/** What this user may not, or what failed when it was tried. */
export interface BrokerRefusal {
  /** The topic, the group or the brokers. */
  readonly subject: string;
  readonly operation: 'see' | 'read' | 'write' | 'create' | 'see the settings of' | 'commit offsets of';
  /** FORBIDDEN: this user lacks the right. */
  readonly error: BrokerError;
}

/** @throws BrokerError UNREACHABLE or UNAUTHENTICATED when no broker lets this client in */
export async function inspectTopics(options: InspectionOptions, connect: MakeBroker): Promise<Inspection> {
  const { connection, report } = options;
  const broker = connect({ connection, report, answerMs: DEFAULT_LIMITS.answerMs });
  try {
    return await new Inspector(options, broker).inspect();
  } finally {
    await broker.close();
  }
}

class Inspector {
  readonly #options: InspectionOptions;
  readonly #broker: Broker;
  readonly #refusals: BrokerRefusal[] = [];

  constructor(options: InspectionOptions, broker: Broker) {
    this.#options = options;
    this.#broker = broker;
  }

  async inspect(): Promise<Inspection> {
    const { group } = this.#options;
    const brokers = await this.#broker.nodes();
    const topics: TopicInspection[] = [];
    for (const name of this.#options.topics) topics.push(await this.#topic(name));
    if (group !== undefined) await this.#try(group, 'commit offsets of', () => this.#broker.probe('commit', group));
    const isComplete = topics.every(({ partitions }) => partitions !== undefined);
    return {
      brokers,
      topics,
      defaults: isComplete ? undefined : await this.#settings('broker', String(brokers[0]?.id ?? 0), 'the brokers'),
      refusals: this.#refusals,
    };
  }

  async #topic(name: string): Promise<TopicInspection> {
    const isWritten = this.#options.written.includes(name);
    const found = await this.#try(name, 'see', async () => ({ partitions: await this.#broker.metadata(name) }));
    if (found !== undefined && found.partitions === undefined && isWritten) {
      await this.#try(name, 'create', () => this.#broker.probe('create', name));
    }
    if (found !== undefined) {
      await this.#try(name, 'read', () => this.#broker.probe('read', name));
      if (isWritten) await this.#try(name, 'write', () => this.#broker.probe('write', name));
    }
    if (found?.partitions === undefined) return { name, partitions: undefined, settings: undefined };
    const offsets = await this.#try(name, 'see', () => this.#broker.listOffsets(name));
    const partitions = found.partitions.map(partition => {
      const ends = offsets?.get(partition.partition);
      return { ...partition, records: ends && ends.high - ends.low };
    });
    return { name, partitions, settings: await this.#settings('topic', name, name) };
  }

  #settings(kind: 'topic' | 'broker', name: string, subject: string): Promise<ReadonlyMap<string, string> | undefined> {
    return this.#try(subject, 'see the settings of', () => this.#broker.describeConfigs(kind, name));
  }

  async #try<T>(subject: string, operation: BrokerRefusal['operation'], task: () => Promise<T>): Promise<T | undefined> {
    try {
      return await task();
    } catch (error) {
      this.#refusals.push({ subject, operation, error: asBrokerError(error) });
      return undefined;
    }
  }
}
