import type { KafkaLimits } from '@evertree/transport/kafka';
import type { PublishProperties, SubscribeProperties } from './configuration.ts';
import type { KafkaSection } from './kafka-section.ts';
import { optional } from '../optional.ts';

// What Java's properties of sending and reading do here. A note names each one that does nothing.

const DEFAULT_GROUP = 'test';
/** Java's default for the interval. */
const DEFAULT_COMMIT_MS = 5_000;
/** That of `KafkaLimits`. */
const DEFAULT_ANSWER_MS = 6_000;
const WRITABLE_MOST_BYTES = 4 * 1024 * 1024;

export function publishSettings(section: KafkaSection): PublishProperties {
  notePublishing(section);
  const idempotence = section.text('enable.idempotence');
  const bufferBytes = section.number('buffer.memory');
  const limits = { ...(bufferBytes === undefined ? {} : bufferLimits(bufferBytes)), ...answerLimits(section) };
  return {
    idempotent: idempotence === undefined ? section.text('retries') !== '0' : idempotence === 'true',
    ...optional('retries', section.number('retries')),
    ...optional('compression', section.text('compression.type') as PublishProperties['compression']),
    ...optional('lingerMs', section.number('linger.ms')),
    ...optional('batchBytes', section.number('batch.size')),
    ...optional('requestBytes', section.number('max.request.size')),
    ...optional('deliveryMs', section.number('delivery.timeout.ms')),
    ...optional('blockMs', section.number('max.block.ms')),
    ...optional('limits', Object.keys(limits).length === 0 ? undefined : limits),
  };
}

/** "request.timeout.ms": how long a broker may be silent while it is to answer. */
function answerMs(section: KafkaSection): number {
  return section.number('request.timeout.ms') ?? DEFAULT_ANSWER_MS;
}

function answerLimits(section: KafkaSection): Partial<KafkaLimits> {
  return optional('answerMs', section.number('request.timeout.ms'));
}

/** A writer stops at half of the buffer, so that what is on the way still fits. */
function bufferLimits(bufferedBytes: number): Partial<KafkaLimits> {
  return { bufferedBytes, writableBytes: Math.min(WRITABLE_MOST_BYTES, Math.floor(bufferedBytes / 2)) };
}

function notePublishing(section: KafkaSection): void {
  const acks = section.text('acks');
  if (acks === '0' || acks === '1') section.note(`"acks" is ${acks}; Evertree always sends with "all", which is stronger`);
  if (section.text('retries') === '0' && section.text('enable.idempotence') === undefined) {
    section.note('"retries" is 0, which turns idempotence off as in Java; the journal sends again what was lost');
  }
  noteLesser(section, 'batch.size', 'max.request.size', 'a batch is sent when it has the size of the lesser');
  const delivery = section.number('delivery.timeout.ms');
  const answer = answerMs(section);
  if (delivery !== undefined && delivery > answer) {
    section.note(
      `"delivery.timeout.ms" is ${delivery}, and "request.timeout.ms" ${answer}: a batch that gets no answer for the lesser is sent again, by a new client`,
    );
  }
  const inFlight = section.text('max.in.flight.requests.per.connection');
  if (inFlight !== undefined && inFlight !== '1') {
    section.note(`"max.in.flight.requests.per.connection" is ${inFlight}; Evertree has one batch in flight, so that their order holds`);
  }
}

export function subscribeSettings(section: KafkaSection): SubscribeProperties {
  noteReading(section);
  const fetch = {
    ...optional('minBytes', section.number('fetch.min.bytes')),
    ...optional('maxWaitMs', section.number('fetch.max.wait.ms')),
    ...optional('maxBytes', section.number('fetch.max.bytes')),
    ...optional('partitionBytes', section.number('max.partition.fetch.bytes')),
  };
  const limits = { ...optional('heartbeatMs', heartbeatOf(section)), ...answerLimits(section) };
  return {
    groupId: section.text('group.id') ?? DEFAULT_GROUP,
    ...optional('commitMs', section.text('enable.auto.commit') === 'false' ? undefined : commitInterval(section)),
    fetch,
    readCommitted: section.text('isolation.level') === 'read_committed',
    ...optional('limits', Object.keys(limits).length === 0 ? undefined : limits),
  };
}

/** 0 means «after each poll» in Java; here it is the shortest interval of a timer. */
function commitInterval(section: KafkaSection): number {
  return Math.max(1, section.number('auto.commit.interval.ms') ?? DEFAULT_COMMIT_MS);
}

/**
 * A secondary counts as gone after three heartbeats without a sign, so a heartbeat is at most a third of the session.
 */
function heartbeatOf(section: KafkaSection): number | undefined {
  const session = section.number('session.timeout.ms');
  const interval = section.number('heartbeat.interval.ms');
  const most = session === undefined ? Infinity : Math.floor(session / 3);
  return session === undefined && interval === undefined ? undefined : Math.min(interval ?? Infinity, most);
}

/** Both are taken, and the greater one has not the effect that it names. */
function noteLesser(section: KafkaSection, first: string, second: string, effect: string): void {
  const [is, bound] = [section.number(first), section.number(second)];
  if (is !== undefined && bound !== undefined && is > bound) section.note(`"${first}" is ${is}, and "${second}" is ${bound}: ${effect}`);
}

function noteReading(section: KafkaSection): void {
  noteLesser(section, 'fetch.min.bytes', 'fetch.max.bytes', 'each fetch waits for all of "fetch.max.wait.ms" unless a batch exceeds that');
  const wait = section.number('fetch.max.wait.ms');
  const answer = answerMs(section);
  if (wait !== undefined && wait > answer / 2) {
    section.note(`"fetch.max.wait.ms" is ${wait}, and "request.timeout.ms" ${answer}: a fetch waits for half of the latter at most`);
  }
  const session = section.number('session.timeout.ms');
  const interval = section.number('heartbeat.interval.ms');
  if (session !== undefined && interval !== undefined && interval > session / 3) {
    section.note(`"heartbeat.interval.ms" is ${interval}, and "session.timeout.ms" is ${session}: heartbeats come three times a session`);
  }
  const reset = section.text('auto.offset.reset');
  if (reset !== undefined) {
    section.note(
      `"auto.offset.reset" is ${reset}, and has no effect: a secondary's own position decides where it reads on, and a snapshot helps it where the topic no longer reaches back`,
    );
  }
  const records = section.text('max.poll.records');
  if (records !== undefined) {
    section.note(
      `"max.poll.records" is ${records}, and has no effect: frames are taken one by one, and "fetch.max.bytes" bounds what is read ahead`,
    );
  }
  if (section.text('enable.auto.commit') === 'false' && section.has('auto.commit.interval.ms')) {
    section.note('"auto.commit.interval.ms" has no effect, as "enable.auto.commit" is false');
  }
}
