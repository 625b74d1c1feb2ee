import { EvertreeError } from '@evertree/core';
import { asBrokerError } from '../broker.ts';
import type { Broker } from '../broker.ts';
import { LEAST_MESSAGE_BYTES, TOPIC_SETTINGS, TOPIC_USES, limitOf, retentionFaults } from '../topics.ts';
import type { TopicNames } from '../topics.ts';
import type { ReportOnce } from './report-once.ts';
import type { PublisherSettings } from './settings.ts';

/** The largest batch that a lane may send, by `max.message.bytes` of its topics. */
export interface MessageBytes {
  readonly frames: number;
  /** The snapshot topic and the control topic. */
  readonly beside: number;
}

/** What the topics' own settings say. */
export interface TopicFacts {
  readonly messageBytes: MessageBytes;
  /** `retention.ms` and `retention.bytes` of the frames; undefined: no limit, or not known. */
  readonly retentionMs: number | undefined;
  readonly retentionBytes: number | undefined;
}

/** Kafka's own default, where this user may not ask. */
const USUAL_MESSAGE_BYTES = 1_048_588;
type Config = ReadonlyMap<string, string>;
/** By what the topics hold; undefined where they are not known. */
type Configs = { readonly [Use in keyof TopicNames]: Config | undefined };

/**
 * Makes the three topics where they are not there, and checks what is.
 * @throws EvertreeError CONFIGURATION_INVALID for what can't work, with what mends it; BrokerError
 */
export async function prepareTopics(
  broker: Broker,
  settings: PublisherSettings,
  once: ReportOnce,
): Promise<{ facts: TopicFacts; created: boolean }> {
  const { topics, partition, report } = settings;
  const present = await Promise.all(TOPIC_USES.map(use => broker.metadata(topics[use])));
  const missing = TOPIC_USES.filter((_, index) => present[index] === undefined);
  if (missing.length > 0) {
    const names = missing.map(use => topics[use]);
    const made = missing.map(use => ({
      topic: topics[use],
      partitions: use === 'frames' ? partition + 1 : 1,
      settings: TOPIC_SETTINGS[use],
    }));
    await broker.createTopics(made);
    report({ level: 'info', event: 'topics-created', message: `made the Kafka topics ${names.join(', ')}`, details: { topics: names } });
  }
  const partitions = present[0];
  if (partitions !== undefined && !partitions.some(found => found.partition === partition)) {
    const remedy = `kafka-topics.sh --bootstrap-server … --alter --topic ${topics.frames} --partitions ${partition + 1}`;
    throw invalid(`the topic ${topics.frames} has no partition ${partition}: set "partition" to one that it has, or add it: ${remedy}`);
  }
  if (partitions !== undefined && partitions.length > 1) await lookAtOtherPartitions(broker, settings, once);
  const configs = await describe(broker, topics, once);
  checkRetention(settings, configs, once);
  return { facts: factsOf(topics, configs), created: missing.length > 0 };
}

/** No site reads the other partitions: records there were written to the wrong one. */
async function lookAtOtherPartitions(broker: Broker, { topics, partition }: PublisherSettings, once: ReportOnce): Promise<void> {
  const offsets = await broker.listOffsets(topics.frames);
  const others = [...offsets].filter(([found, { low, high }]) => found !== partition && high > low).map(([found]) => found);
  if (others.length === 0) return;
  const list = others.join(', ');
  once.tell(`partitions ${list}`, {
    level: 'warn',
    event: 'other-partitions',
    message: `the topic ${topics.frames} has records in partition ${list}, too; this stream is in partition ${partition} only, and they are not read`,
    details: { topic: topics.frames, partition },
  });
}

async function describe(broker: Broker, topics: TopicNames, once: ReportOnce): Promise<Configs> {
  try {
    const [frames, snapshots, control] = await Promise.all(TOPIC_USES.map(use => broker.describeConfigs('topic', topics[use])));
    return { frames, snapshots, control };
  } catch (error) {
    if (asBrokerError(error).code !== 'FORBIDDEN') throw error;
    const names = TOPIC_USES.map(use => topics[use]).join(', ');
    once.tell('describe', {
      level: 'warn',
      event: 'topic-settings-unknown',
      message: `this user may not read the settings of ${names}: Kafka's defaults are taken; grant it DescribeConfigs on them`,
      details: { error },
    });
    return { frames: undefined, snapshots: undefined, control: undefined };
  }
}

function checkRetention({ topics }: PublisherSettings, configs: Configs, once: ReportOnce): void {
  for (const use of TOPIC_USES) {
    const topic = topics[use];
    for (const { kind, remedy } of configs[use] === undefined ? [] : retentionFaults(use, configs[use])) {
      const mend = alter(topic, remedy);
      if (kind === 'compacted') {
        throw invalid(`the topic ${topic} is compacted ("cleanup.policy"), which removes records from its middle: ${mend}`);
      }
      const wrong =
        kind === 'expiring'
          ? 'deletes snapshots by itself'
          : 'has a cleanup policy other than compaction, so it grows, or forgets secondaries';
      const message = `the topic ${topic} ${wrong}: ${mend}`;
      once.tell(`policy ${topic}`, { level: 'warn', event: 'topic-settings', message, details: { topic } });
    }
  }
}

function alter(topic: string, settings: Readonly<Record<string, string>>): string {
  const config = Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
  return `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name ${topic} --add-config ${config}`;
}

function factsOf(topics: TopicNames, configs: Configs): TopicFacts {
  const [frames, snapshots, control] = TOPIC_USES.map(use => messageBytesOf(topics[use], configs[use])) as [number, number, number];
  return {
    messageBytes: { frames, beside: Math.min(snapshots, control) },
    retentionMs: configs.frames && limitOf(configs.frames, 'retention.ms'),
    retentionBytes: configs.frames && limitOf(configs.frames, 'retention.bytes'),
  };
}

function messageBytesOf(topic: string, config: Config | undefined): number {
  const bytes = Number(config?.get('max.message.bytes') ?? USUAL_MESSAGE_BYTES);
  if (bytes >= LEAST_MESSAGE_BYTES) return bytes;
  throw invalid(`the topic ${topic} takes batches of ${bytes} bytes at most ("max.message.bytes"); it has to take ${LEAST_MESSAGE_BYTES}`);
}

function invalid(message: string): EvertreeError {
  return new EvertreeError('CONFIGURATION_INVALID', message);
}
