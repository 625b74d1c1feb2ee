import type { FarEnd, Transport, TransportEvents } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { BrokerError, BrokerSilent, asBrokerError, isKafkaError } from '../broker.ts';
import { DEFAULT_LIMITS } from '../options.ts';
import type { KafkaLimits, SubscribeOptions } from '../options.ts';
import { topicNames } from '../topics.ts';
import { Subscription } from './subscription.ts';

/** What lasts is tried again this seldom: somebody has to change something first. */
const LASTING_RETRY_MS = 30_000;
const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION';

/**
 * A secondary's end of the Kafka wire. It reads the topic from where the site's journal stands, and tells the primary of it in the control
 * topic. `open` resolves as soon as it has begun to try; it tries for ever, unless the brokers refuse this user from the beginning.
 */
export function subscribeTransport(options: SubscribeOptions): Transport {
  return new Subscriber(options);
}

class Subscriber implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  readonly #options: SubscribeOptions;
  readonly #limits: KafkaLimits;
  readonly #backoff: Backoff;
  /** Kept for as long as this end lives: a snapshot that is not whole does not become so. */
  readonly #spoilt = new Set<string>();
  #events: TransportEvents | undefined;
  #subscription: Subscription | undefined;
  #wait: Disposable | undefined;
  #served = false;
  #closed = false;
  #closing: Promise<unknown> = Promise.resolve();

  constructor(options: SubscribeOptions) {
    this.#options = options;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#backoff = new Backoff(this.#limits.retryMs, options.random, this.#limits.retryMostMs);
    this.farEnd = {
      kind: 'log',
      name: `topic ${options.topic}`,
      remedy: 'delete the topic with its .snapshot and .control; the right primary makes them anew',
    };
    this.remotes = [`kafka://${options.connection.brokers.join(',')}/${options.topic}`];
  }

  open(events: TransportEvents): Promise<void> {
    this.#events = events;
    this.#begin(events);
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wait?.[Symbol.dispose]();
    await Promise.all([this.#subscription?.close(), this.#closing]);
  }

  #begin(events: TransportEvents): void {
    const subscription: Subscription = new Subscription({
      options: this.#options,
      limits: this.#limits,
      remote: this.remotes[0]!,
      events,
      spoilt: this.#spoilt,
      lived: () => this.#backoff.reset(),
      broken: error => this.#again(subscription, error),
    });
    this.#subscription = subscription;
    void this.#open(subscription);
  }

  async #open(subscription: Subscription): Promise<void> {
    try {
      await subscription.open();
      this.#served = true;
    } catch (error) {
      this.#again(subscription, error);
    }
  }

  /** Gives up a life that the broker ended, and plans the next. */
  #again(subscription: Subscription, cause: unknown): void {
    if (subscription !== this.#subscription) return;
    this.#subscription = undefined;
    const error = this.#explain(cause);
    const { lasting } = error;
    this.#closing = Promise.all([
      this.#closing,
      subscription.close({ reason: cause instanceof BrokerSilent ? 'silent' : 'lost', explanation: error.message }),
    ]);
    if (this.#closed) return;
    if (lasting && !this.#served) return this.#events?.failed(this.remotes[0]!, error, Infinity);
    const retryInMs = lasting ? LASTING_RETRY_MS : this.#backoff.next();
    this.#wait = this.#options.clock.after(retryInMs, () => this.#begin(this.#events!));
    this.#events?.failed(this.remotes[0]!, error, retryInMs);
  }

  #explain(cause: unknown): BrokerError {
    const { topic, connection } = this.#options;
    if (!isKafkaError(cause, UNKNOWN_TOPIC)) return asBrokerError(cause);
    const { frames, control, snapshots } = topicNames(topic);
    const message = `${frames}, ${control} and ${snapshots} are not all there yet on ${connection.brokers.join(', ')}: the primary makes them when it starts`;
    return new BrokerError('NOT_FOUND', message, { lasting: false, kafka: UNKNOWN_TOPIC }, { details: { topic }, cause });
  }
}
