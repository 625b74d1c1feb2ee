import type { FarEnd, Transport, TransportEvents } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { BrokerError, BrokerSilent, asBrokerError, isKafkaError } from '../broker.ts';
import type { SubscribeOptions } from '../options.ts';
import { topicNames } from '../topics.ts';
import { settleSubscribe } from './settings.ts';
import type { SubscribeSettings } from './settings.ts';
import { Subscription } from './subscription.ts';

/** What lasts is tried again this seldom: somebody has to change something first. */
const LASTING_RETRY_MS = 30_000;
const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION';

/**
 * A secondary's end of the Kafka wire. It reads the topic from where the site's journal stands, and tells the primary of it in the control
 * topic. `open` resolves as soon as it has begun to try; it tries for ever, unless the brokers refuse this user from the beginning.
 */
export function subscribeTransport(options: SubscribeOptions): Transport {
  return new Subscriber(settleSubscribe(options));
}

class Subscriber implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  readonly #settings: SubscribeSettings;
  readonly #backoff: Backoff;
  /** Kept for as long as this end lives: a snapshot that is not whole does not become so. */
  readonly #spoilt = new Set<string>();
  /** The life that goes on, or was given up last. */
  #subscription: Subscription | undefined;
  /** The broker has served this site. */
  #served = false;
  #closed = false;
  /** Resolves when nothing is left of the lives before. */
  #closing: Promise<unknown> = Promise.resolve();

  constructor(settings: SubscribeSettings) {
    const { limits, random, remote, farEnd } = settings;
    this.#settings = settings;
    this.#backoff = new Backoff(limits.retryMs, random, limits.retryMostMs);
    this.remotes = [remote];
    this.farEnd = farEnd;
  }

  open(events: TransportEvents): Promise<void> {
    void this.#serve(events);
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#subscription?.close(), this.#closing]);
  }

  /** One life after the other. Never rejects. */
  async #serve(events: TransportEvents): Promise<void> {
    while (!this.#closed) {
      const subscription = new Subscription(this.#settings, this.#spoilt, events);
      this.#subscription = subscription;
      try {
        await subscription.run();
      } catch (cause) {
        if (this.#closed) return;
        const retryInMs = this.#giveUp(subscription, events, cause);
        if (retryInMs === Infinity) return;
        await new Promise<void>(resolve => void this.#settings.clock.after(retryInMs, resolve));
      }
    }
  }

  /** Gives up a life that the broker ended. @returns when the next one begins; Infinity: never */
  #giveUp(subscription: Subscription, events: TransportEvents, cause: unknown): number {
    const error = this.#explain(cause);
    const reason = cause instanceof BrokerSilent ? 'silent' : 'lost';
    this.#closing = Promise.all([this.#closing, subscription.close({ reason, explanation: error.message })]);
    this.#served ||= subscription.opened;
    if (subscription.lived) this.#backoff.reset();
    const retryInMs = error.lasting ? (this.#served ? LASTING_RETRY_MS : Infinity) : this.#backoff.next();
    events.failed(this.#settings.remote, error, retryInMs);
    return retryInMs;
  }

  #explain(cause: unknown): BrokerError {
    const { topic, connection } = this.#settings;
    if (!isKafkaError(cause, UNKNOWN_TOPIC)) return asBrokerError(cause);
    const { frames, control, snapshots } = topicNames(topic);
    const where = `on ${connection.brokers.join(', ')}`;
    const message = `${frames}, ${control} and ${snapshots} are not all there yet ${where}: the primary makes them when it starts`;
    return new BrokerError('NOT_FOUND', message, { lasting: false, kafka: UNKNOWN_TOPIC }, { details: { topic }, cause });
  }
}
