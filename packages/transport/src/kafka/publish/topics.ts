import { EvertreeError } from '@evertree/core';
import kafkajs from 'kafkajs';
import type { Admin, ITopicConfig } from 'kafkajs';
import type { Once } from './once.ts';
import { RECORD_OVERHEAD_BYTES } from '../parts.ts';
import type { Settings, Topics } from './settings.ts';

/** What the topic's own settings say. */
export interface TopicFacts {
  /** `max.message.bytes`: the largest batch. */
  readonly messageBytes: number;
  /** `retention.ms` and `retention.bytes`; undefined: no limit, or not known. */
  readonly retentionMs: number | undefined;
  readonly retentionBytes: number | undefined;
}

/** Kafka's own defaults, where this user may not ask. */
const UNKNOWN: TopicFacts = { messageBytes: 1_048_588, retentionMs: undefined, retentionBytes: undefined };
/** Below, not even a hello with a few epochs goes through. */
const LEAST_MESSAGE_BYTES = 4 * RECORD_OVERHEAD_BYTES;
/** Small segments: only closed ones are compacted, and every reader of `.control` reads it from its beginning. */
const CONTROL_SEGMENT_BYTES = 4 * 1024 * 1024;

type Config = ReadonlyMap<string, string>;
/** Of the topic, of `.snapshot`, of `.control`; undefined where they are not known. */
type Configs = readonly [Config | undefined, Config | undefined, Config | undefined];

/**
 * Makes the three topics where they are not there, and checks what is.
 * @throws EvertreeError CONFIGURATION_INVALID for what can't work, with what mends it; kafkajs's errors
 */
export async function prepareTopics(admin: Admin, settings: Settings, once: Once): Promise<{ facts: TopicFacts; created: boolean }> {
  const { topics, partition } = settings;
  const names = [topics.frames, topics.snapshots, topics.control];
  const present = await Promise.all(names.map(topic => partitionsOf(admin, topic)));
  const missing = names.filter((_, index) => present[index] === undefined);
  if (missing.length > 0) await createTopics(admin, missing, settings);
  const partitions = present[0];
  if (partitions !== undefined && !partitions.includes(partition)) {
    const remedy = `kafka-topics.sh --bootstrap-server … --alter --topic ${topics.frames} --partitions ${partition + 1}`;
    throw invalid(`the topic ${topics.frames} has no partition ${partition}: set "partition" to one that it has, or add it: ${remedy}`);
  }
  if (partitions !== undefined && partitions.length > 1) await lookAside(admin, settings, once);
  const configs = await describe(admin, topics, once);
  checkPolicies(settings, configs, once);
  return { facts: factsOf(topics.frames, configs[0]), created: missing.length > 0 };
}

/** The topic's partitions, or undefined where there is no such topic. */
async function partitionsOf(admin: Admin, topic: string): Promise<number[] | undefined> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions.map(({ partitionId }) => partitionId);
  } catch (error) {
    if (typeOf(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined;
    throw error;
  }
}

async function createTopics(admin: Admin, missing: readonly string[], { topics, partition, report }: Settings): Promise<void> {
  const configs: { readonly [topic: string]: ITopicConfig } = {
    [topics.frames]: { topic: topics.frames, numPartitions: partition + 1, configEntries: entries({ 'cleanup.policy': 'delete' }) },
    [topics.snapshots]: {
      topic: topics.snapshots,
      numPartitions: 1,
      configEntries: entries({ 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' }),
    },
    [topics.control]: {
      topic: topics.control,
      numPartitions: 1,
      configEntries: entries({
        'cleanup.policy': 'compact',
        'segment.bytes': String(CONTROL_SEGMENT_BYTES),
        'min.cleanable.dirty.ratio': '0.2',
      }),
    },
  };
  await admin.createTopics({ topics: missing.map(topic => configs[topic]!), waitForLeaders: true });
  report({ level: 'info', event: 'topics-created', message: `made the Kafka topics ${missing.join(', ')}`, details: { topics: missing } });
}

function entries(values: { readonly [name: string]: string }): { name: string; value: string }[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}

/** Nobody reads the other partitions: what lies there, somebody has put into the wrong one. */
async function lookAside(admin: Admin, { topics, partition }: Settings, once: Once): Promise<void> {
  const offsets = await admin.fetchTopicOffsets(topics.frames);
  const others = offsets.filter(found => found.partition !== partition && BigInt(found.high) > BigInt(found.low));
  if (others.length === 0) return;
  const list = others.map(found => found.partition).join(', ');
  once.tell(`aside ${list}`, {
    level: 'warn',
    event: 'other-partitions',
    message: `the topic ${topics.frames} has records in partition ${list}, too; this stream is in partition ${partition} alone, and they are not read`,
    details: { topic: topics.frames, partition },
  });
}

async function describe(admin: Admin, topics: Topics, once: Once): Promise<Configs> {
  const names = Object.values(topics) as string[];
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map(name => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name })),
    });
    const found = new Map(
      resources.map(resource => [
        resource.resourceName,
        new Map(resource.configEntries.map(entry => [entry.configName, entry.configValue ?? ''])),
      ]),
    );
    return [found.get(topics.frames), found.get(topics.snapshots), found.get(topics.control)];
  } catch (error) {
    if (!typeOf(error).endsWith('_AUTHORIZATION_FAILED')) throw error;
    once.tell('describe', {
      level: 'warn',
      event: 'topic-settings-unknown',
      message: `this user may not read the settings of ${names.join(', ')}: Kafka's defaults are taken; grant it DescribeConfigs on them`,
      details: { error },
    });
    return [undefined, undefined, undefined];
  }
}

function checkPolicies({ topics }: Settings, [frames, snapshots, control]: Configs, once: Once): void {
  for (const [topic, config] of [
    [topics.frames, frames],
    [topics.snapshots, snapshots],
  ] as const) {
    if (config?.get('cleanup.policy')?.includes('compact') !== true) continue;
    throw invalid(
      `the topic ${topic} is compacted ("cleanup.policy"), which removes records from its middle: ${alter(topic, 'cleanup.policy=delete')}`,
    );
  }
  const tell = (topic: string, wrong: string, config: string) =>
    once.tell(`policy ${topic}`, {
      level: 'warn',
      event: 'topic-settings',
      message: `the topic ${topic} ${wrong}: ${alter(topic, config)}`,
      details: { topic },
    });
  if (control !== undefined && control.get('cleanup.policy') !== 'compact') {
    tell(topics.control, 'is not compacted alone, so it grows, or forgets who reads', 'cleanup.policy=compact');
  }
  if (snapshots !== undefined && [snapshots.get('retention.ms'), snapshots.get('retention.bytes')].some(value => value !== '-1')) {
    tell(topics.snapshots, 'lets snapshots go by itself', 'retention.ms=-1,retention.bytes=-1');
  }
}

function alter(topic: string, config: string): string {
  return `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name ${topic} --add-config ${config}`;
}

function factsOf(topic: string, config: Config | undefined): TopicFacts {
  if (config === undefined) return UNKNOWN;
  const messageBytes = Number(config.get('max.message.bytes') ?? UNKNOWN.messageBytes);
  if (messageBytes < LEAST_MESSAGE_BYTES) {
    throw invalid(
      `the topic ${topic} takes batches of ${messageBytes} bytes at most ("max.message.bytes"); it has to take ${LEAST_MESSAGE_BYTES}`,
    );
  }
  return { messageBytes, retentionMs: limitOf(config, 'retention.ms'), retentionBytes: limitOf(config, 'retention.bytes') };
}

function limitOf(config: Config, name: string): number | undefined {
  const value = Number(config.get(name) ?? -1);
  return value < 0 ? undefined : value;
}

function invalid(message: string): EvertreeError {
  return new EvertreeError('CONFIGURATION_INVALID', message);
}

function typeOf(error: unknown): string {
  return error instanceof Error && 'type' in error && typeof error.type === 'string' ? error.type : '';
}
