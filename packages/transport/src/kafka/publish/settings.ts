import { EvertreeError } from '@evertree/core';
import type { FarEnd } from '@evertree/core';
import { DEFAULT_LIMITS } from '../options.ts';
import type { KafkaLimits, PublishOptions } from '../options.ts';
import { topicNames } from '../topics.ts';
import type { TopicNames } from '../topics.ts';

const KIBIBYTE = 1024;
const BATCH_BYTES = 512 * KIBIBYTE;
const REQUEST_BYTES = 1024 * KIBIBYTE;
/** How often the client sends a batch again, unless `retries` is given. */
const RETRIES = 5;

/** How long connecting and opening the topics may take. `max.block.ms` may lower it, to 5 s at least. */
const OPENING_MS = 15_000;
const OPENING_LEAST_MS = 5_000;

/** The options with their defaults. */
export interface PublisherSettings extends PublishOptions {
  readonly limits: KafkaLimits;
  readonly idempotent: boolean;
  readonly retries: number;
  readonly lingerMs: number;
  readonly batchBytes: number;
  readonly requestBytes: number;
  /** How long the broker may take for a batch, in addition to the time that its bytes take on a slow line. */
  readonly sendMs: number;
  /** How long connecting and opening the topics may take. */
  readonly openingMs: number;
  /** The one address of this end, for people. */
  readonly remote: string;
  readonly farEnd: FarEnd & { readonly kind: 'log' };
  readonly topics: TopicNames;
}

/** @throws EvertreeError CONFIGURATION_INVALID */
export function publisherSettings(options: PublishOptions): PublisherSettings {
  const { topic, connection, partition, retries = RETRIES, blockMs = OPENING_MS } = options;
  if (!Number.isInteger(partition) || partition < 0) {
    throw new EvertreeError('CONFIGURATION_INVALID', `"partition" is ${partition}; it has to be an integer from 0 on`);
  }
  const limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
  return Object.freeze({
    ...options,
    get connection() {
      return options.connection;
    },
    limits,
    // As in Java: without retries there is no idempotence. A failed frame is then sent again from the journal.
    idempotent: (options.idempotent ?? true) && retries > 0,
    retries,
    lingerMs: options.lingerMs ?? 0,
    batchBytes: options.batchBytes ?? BATCH_BYTES,
    requestBytes: options.requestBytes ?? REQUEST_BYTES,
    sendMs: Math.min(options.deliveryMs ?? limits.answerMs, limits.answerMs),
    openingMs: Math.min(Math.max(blockMs, OPENING_LEAST_MS), OPENING_MS),
    remote: `kafka://${connection.brokers.join(',')}/${topic}`,
    farEnd: {
      kind: 'log' as const,
      name: `topic ${topic}`,
      remedy: 'name another topic in the configuration, or delete this one with its .snapshot and .control',
    },
    topics: topicNames(topic),
  });
}
