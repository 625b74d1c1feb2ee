/** The topics of one stream, by what they hold. PROTOCOL.md, «Over Kafka». */
export type TopicUse = 'frames' | 'snapshots' | 'control';

export type TopicNames = Readonly<Record<TopicUse, string>>;

export const TOPIC_USES: readonly TopicUse[] = Object.freeze(['frames', 'snapshots', 'control']);

/** @param topic the configured one */
export function topicNames(topic: string): TopicNames {
  return Object.freeze({ frames: topic, snapshots: `${topic}.snapshot`, control: `${topic}.control` });
}

/**
 * The settings that a primary gives to the topics that it makes. `.control` has small segments: only closed ones are
 * compacted, and every reader reads it from its beginning.
 */
export const TOPIC_SETTINGS: Readonly<Record<TopicUse, Readonly<Record<string, string>>>> = Object.freeze({
  frames: { 'cleanup.policy': 'delete' },
  snapshots: { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' },
  control: { 'cleanup.policy': 'compact', 'segment.bytes': '4194304', 'min.cleanable.dirty.ratio': '0.2' },
});

/** What a topic has to take (`max.message.bytes`): in less, a hello with a few epochs does not fit. */
export const LEAST_MESSAGE_BYTES = 16 * 1024;

export type TopicConfig = ReadonlyMap<string, string>;

/** A setting that is a limit, where -1 and its absence mean that there is none. */
export function limitOf(settings: TopicConfig, name: string): number | undefined {
  const value = Number(settings.get(name) ?? -1);
  return value < 0 ? undefined : value;
}

/**
 * What is wrong with how a topic keeps its records, and the settings that mend it.
 * - `compacted`: Kafka removes records from its middle, so that frames are missing; it can't be used.
 * - `not-compacted`: `.control` grows, or forgets what secondaries said of themselves.
 * - `expiring`: Kafka removes snapshots from `.snapshot`, and a new secondary may then find none.
 */
export interface RetentionFault {
  readonly kind: 'compacted' | 'not-compacted' | 'expiring';
  readonly remedy: Readonly<Record<string, string>>;
}

export function retentionFaults(use: TopicUse, settings: TopicConfig): RetentionFault[] {
  const policy = settings.get('cleanup.policy') ?? '';
  if (use === 'control') return policy === 'compact' ? [] : [{ kind: 'not-compacted', remedy: wanted(use, 'cleanup.policy') }];
  const faults: RetentionFault[] = [];
  if (policy.includes('compact')) faults.push({ kind: 'compacted', remedy: wanted(use, 'cleanup.policy') });
  const expires = limitOf(settings, 'retention.ms') !== undefined || limitOf(settings, 'retention.bytes') !== undefined;
  if (use === 'snapshots' && expires) faults.push({ kind: 'expiring', remedy: wanted(use, 'retention.ms', 'retention.bytes') });
  return faults;
}

function wanted(use: TopicUse, ...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map(name => [name, TOPIC_SETTINGS[use][name] ?? '']));
}
