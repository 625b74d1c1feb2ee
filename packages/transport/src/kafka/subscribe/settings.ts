import type { FarEnd } from '@evertree/core';
import { DEFAULT_LIMITS } from '../options.ts';
import type { KafkaLimits, SubscribeOptions } from '../options.ts';

/** A secondary's options, with the defaults resolved. */
export interface SubscriberSettings extends SubscribeOptions {
  readonly limits: KafkaLimits;
  /** The topic's address, for people. */
  readonly remote: string;
  readonly farEnd: FarEnd;
}

export function subscriberSettings(options: SubscribeOptions): SubscriberSettings {
  const { connection, topic } = options;
  return Object.freeze({
    ...options,
    get connection() {
      return options.connection;
    },
    limits: Object.freeze({ ...DEFAULT_LIMITS, ...options.limits }),
    remote: `kafka://${connection.brokers.join(',')}/${topic}`,
    farEnd: {
      kind: 'log' as const,
      name: `topic ${topic}`,
      remedy: 'delete the topic with its .snapshot and .control; the right primary makes them anew',
    },
  });
}
