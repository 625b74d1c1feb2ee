import { LEAST_MESSAGE_BYTES, limitOf, retentionFaults } from '@evertree/transport/kafka';
import type { Inspection, TopicInspection, TopicUse } from '@evertree/transport/kafka';
import { type Finding, note, refused, warning } from './finding.ts';
import type { KafkaTools, WantedSettings } from './kafka-tools.ts';
import { formatBytes, formatDuration } from './units.ts';

/** The longest part of a frame. A topic with a lower limit gets more and smaller parts. */
const EASY_MESSAGE_BYTES = 64 * 1024;
/** The age up to which frames may reach a topic: the brokers may have been away for long. */
const LONG_MS = 365 * 86_400_000;
const EVER = '9223372036854775807';
const UNREADABLE_CODECS: readonly string[] = ['snappy', 'lz4'];

/** Looks at the settings of a topic that is there. */
export function checkSettings(use: TopicUse, { name, settings }: TopicInspection, tools: KafkaTools): Finding[] {
  if (settings === undefined) return [];
  const subject = `topic ${name}`;
  const set = (wanted: WantedSettings) => tools.configure(name, wanted);
  const findings = [...checkCleanup(use, subject, settings, set), ...checkMessageBytes(use, subject, settings, set)];
  const codec = settings.get('compression.type') ?? '';
  if (UNREADABLE_CODECS.includes(codec)) {
    findings.push(
      refused(subject, `compresses everything with ${codec}, which secondaries can't read`, set({ 'compression.type': 'producer' })),
    );
  }
  if (use === 'frames') findings.push(...checkRetention(subject, settings), ...checkTimes(subject, settings, set));
  return findings;
}

type Settings = ReadonlyMap<string, string>;
type Set = (wanted: WantedSettings) => string;

function checkCleanup(use: TopicUse, subject: string, settings: Settings, set: Set): Finding[] {
  const policy = settings.get('cleanup.policy') ?? '';
  return retentionFaults(use, settings).map(({ kind, remedy }) => {
    switch (kind) {
      case 'compacted':
        return refused(subject, `is compacted ("cleanup.policy" ${policy}), which takes ${use} out of its middle`, set(remedy));
      case 'not-compacted': {
        const message = `has "cleanup.policy" ${policy}: without compaction it grows, or loses the reports of secondaries`;
        return warning(subject, message, set(remedy));
      }
      case 'expiring': {
        const message = 'deletes snapshots by itself, so that a new secondary may find none; the primary deletes those that are not needed';
        return warning(subject, message, set(remedy));
      }
    }
  });
}

function checkMessageBytes(use: TopicUse, subject: string, settings: Settings, set: Set): Finding[] {
  const bytes = Number(settings.get('max.message.bytes') ?? Infinity);
  if (bytes >= EASY_MESSAGE_BYTES) return [];
  const remedy = set({ 'max.message.bytes': '1048588' });
  const found = `takes batches of ${bytes} bytes at most ("max.message.bytes")`;
  if (bytes < LEAST_MESSAGE_BYTES) return [refused(subject, `${found}; it has to take ${LEAST_MESSAGE_BYTES}`, remedy)];
  return [
    warning(
      subject,
      use === 'control' ? `${found}, and the report of a site may be larger` : `${found}: ${use} travel in many small parts`,
      remedy,
    ),
  ];
}

/** A note only: retention decides how long a secondary may be away and still go on in the topic. */
function checkRetention(subject: string, settings: Settings): Finding[] {
  const [ms, bytes] = [limitOf(settings, 'retention.ms'), limitOf(settings, 'retention.bytes')];
  const limits = [...(ms === undefined ? [] : [formatDuration(ms)]), ...(bytes === undefined ? [] : [formatBytes(bytes)])];
  if (limits.length === 0)
    return [note(subject, 'keeps everything ("retention.ms" and "retention.bytes" are -1), and grows without a limit')];
  const names = ms === undefined ? '"retention.bytes"' : bytes === undefined ? '"retention.ms"' : '"retention.ms", "retention.bytes"';
  return [note(subject, `keeps frames for ${limits.join(' or ')} (${names}): a secondary that is away for longer starts from a snapshot`)];
}

function checkTimes(subject: string, settings: Settings, set: Set): Finding[] {
  const findings: Finding[] = [];
  const beforeMs = Number(settings.get('message.timestamp.before.max.ms') ?? Infinity);
  if (beforeMs < LONG_MS) {
    const message = `refuses records older than ${formatDuration(beforeMs)} ("message.timestamp.before.max.ms"), but after a long outage of the brokers frames may be older`;
    findings.push(warning(subject, message, set({ 'message.timestamp.before.max.ms': EVER })));
  }
  if (settings.get('message.timestamp.type') === 'LogAppendTime') {
    const message =
      'replaces the times of commits by those of their arrival ("message.timestamp.type"): secondaries may read more than they need';
    findings.push(warning(subject, message, set({ 'message.timestamp.type': 'CreateTime' })));
  }
  return findings;
}

/** How many brokers hold what was acknowledged. */
export function checkReplicas(topics: readonly TopicInspection[], { brokers }: Inspection, tools: KafkaTools): Finding[] {
  const findings: Finding[] = [];
  const single = topics.flatMap(({ name, partitions = [] }) =>
    partitions.filter(({ replicas }) => replicas === 1).map(({ partition }) => ({ topic: name, partition })),
  );
  if (single.length > 0) {
    const names = [...new Set(single.map(({ topic }) => topic))];
    const message = `${names.length > 1 ? 'have' : 'has'} one replica: the records are lost if its broker is lost, and can't be read or written while the broker is away`;
    const ids = brokers.map(({ id }) => id).slice(0, 3);
    const subject = `topic${names.length > 1 ? 's' : ''} ${names.join(', ')}`;
    if (ids.length > 1) findings.push(warning(subject, message, tools.replicate(single, ids)));
    else findings.push(warning(subject, `${message}; the cluster has one broker: start others, and give the topics replicas there`));
  }
  for (const topic of topics) findings.push(...checkInSync(topic, tools));
  return findings;
}

function checkInSync({ name, partitions = [], settings }: TopicInspection, tools: KafkaTools): Finding[] {
  const wanted = Number(settings?.get('min.insync.replicas') ?? Number.NaN);
  const [first] = partitions;
  if (Number.isNaN(wanted) || first === undefined) return [];
  const subject = `topic ${name}`;
  const { replicas, inSync } = first;
  const set = (value: number) => tools.configure(name, { 'min.insync.replicas': String(value) });
  if (wanted > replicas) {
    const message = `has "min.insync.replicas" ${wanted} and ${replicas} replica${replicas > 1 ? 's' : ''}, so nothing can be written`;
    return [refused(subject, message, set(Math.max(1, replicas - 1)))];
  }
  if (inSync < wanted)
    return [warning(subject, `has ${inSync} replicas in sync and needs ${wanted}, so nothing can be written now; start its other brokers`)];
  if (replicas === 1) return [];
  if (wanted === 1) {
    return [
      warning(
        subject,
        'has "min.insync.replicas" 1: a frame counts as sent when one broker has it, and is lost if that broker is lost',
        set(2),
      ),
    ];
  }
  if (wanted < replicas) return [];
  const message = `has "min.insync.replicas" ${wanted} of ${replicas}: while one of its brokers is away nothing can be written`;
  return [warning(subject, message, set(replicas - 1 || 1))];
}
