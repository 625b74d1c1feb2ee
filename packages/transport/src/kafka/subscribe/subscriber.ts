import type { Transport, TransportEvents } from '@evertree/core';
import { LinkAttempts } from '../attempts.ts';
import type { Attempted } from '../attempts.ts';
import { BrokerError, BrokerSilent, asBrokerError, isKafkaError } from '../broker.ts';
import type { MakeBroker } from '../clients.ts';
import type { SubscribeOptions } from '../options.ts';
import { topicNames } from '../topics.ts';
import { subscriberSettings } from './settings.ts';
import type { SubscriberSettings } from './settings.ts';
import { Subscription } from './subscription.ts';

/** How long a site that was served before waits after a failure that somebody has to mend. */
const LASTING_RETRY_MS = 30_000;
const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION';

/**
 * A secondary's end of the Kafka wire. It reads the topic from where the site's journal stands, and tells the primary
 * of it in the control topic. `open` resolves as soon as it has begun to try. It tries until it is closed, unless the
 * brokers refuse this user from the beginning.
 * @param connect the client: `loadKafkaClient`
 */
export function subscribeTransport(options: SubscribeOptions, connect: MakeBroker): Transport {
  return new Subscriber(subscriberSettings(options), connect);
}

class Subscriber extends LinkAttempts {
  readonly #settings: SubscriberSettings;
  readonly #connect: MakeBroker;
  /** The ids of spoilt snapshots, kept as long as this end is open: they never become whole. */
  readonly #spoilt = new Set<string>();
  /** The present attempt, or the last one. */
  #subscription: Subscription | undefined;
  /** Resolves when the connections of earlier attempts are closed. */
  #closing: Promise<unknown> = Promise.resolve();

  constructor(settings: SubscriberSettings, connect: MakeBroker) {
    super({ ...settings, lastingRetryMs: LASTING_RETRY_MS });
    this.#settings = settings;
    this.#connect = connect;
  }

  protected override async attempt(events: TransportEvents): Promise<Attempted> {
    const subscription = new Subscription(this.#settings, this.#connect, this.#spoilt, events);
    this.#subscription = subscription;
    try {
      await subscription.run();
      return { served: true, lived: true, lasting: false };
    } catch (cause) {
      const error = this.#explain(cause);
      const { opened: served, lived } = subscription;
      const reason = cause instanceof BrokerSilent ? 'silent' : 'lost';
      // The next attempt does not wait for the last records of this one.
      this.#closing = Promise.all([this.#closing, subscription.close({ reason, explanation: error.message })]);
      return { served, lived, lasting: error.lasting, error };
    }
  }

  protected override async stop(): Promise<void> {
    await Promise.all([this.#subscription?.close(), this.#closing]);
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
