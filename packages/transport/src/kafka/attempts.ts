import { Signal } from '@evertree/core';
import type { Clock, FarEnd, Random, Transport, TransportEvents } from '@evertree/core';
import { Backoff } from '../wire/backoff.ts';
import { asBrokerError } from './broker.ts';
import type { BrokerError } from './broker.ts';
import type { KafkaLimits } from './options.ts';

export interface AttemptSettings {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: KafkaLimits;
  /** The one address of this end, for people. */
  readonly remote: string;
  readonly farEnd: FarEnd;
  /** The first wait after a failure that somebody has to mend; it grows to 30 s. */
  readonly lastingRetryMs: number;
}

/** What an attempt came to. */
export interface Attempted {
  /** The broker served this site: from then on this end tries again after every failure. */
  readonly served: boolean;
  /** Its link carried something or lasted: the waits begin anew. */
  readonly lived: boolean;
  /** Trying again soon will not help. */
  readonly lasting: boolean;
  /** The failure to report; undefined where the link has told why it ended. */
  readonly error?: BrokerError;
}

/** One end of the Kafka wire: it attempts to link, again and again, with growing waits. */
export abstract class LinkAttempts implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  readonly #settings: AttemptSettings;
  readonly #passing: Backoff;
  readonly #lasting: Backoff;
  readonly #closing = new Signal();
  #served = false;
  #closed = false;

  constructor(settings: AttemptSettings) {
    const { limits, random, remote, farEnd, lastingRetryMs } = settings;
    this.#settings = settings;
    this.remotes = [remote];
    this.farEnd = farEnd;
    this.#passing = new Backoff(limits.retryMs, random, limits.retryMostMs);
    this.#lasting = new Backoff(lastingRetryMs, random);
  }

  /**
   * Resolves as soon as the first attempt has begun. A lasting failure ends the attempts only if the broker never
   * served this site: `failed` with Infinity.
   */
  open(events: TransportEvents): Promise<void> {
    void this.#run(events);
    return Promise.resolve();
  }

  close(why?: string): Promise<void> {
    this.#closed = true;
    this.#closing.notify();
    return this.stop(why);
  }

  protected get isClosed(): boolean {
    return this.#closed;
  }

  /** Makes one attempt; settles when its link has ended. @throws what the broker throws before it served this site */
  protected abstract attempt(events: TransportEvents): Promise<Attempted>;

  /** Ends the present attempt; resolves when its link and connections are closed. Bounded. Idempotent. */
  protected abstract stop(why?: string): Promise<void>;

  async #run(events: TransportEvents): Promise<void> {
    while (!this.#closed) {
      const { served, lived, lasting, error } = await this.#attempt(events);
      if (this.#closed) return;
      this.#served ||= served;
      const { remote, clock } = this.#settings;
      if (error !== undefined && lasting && !this.#served) return events.failed(remote, error, Infinity);
      if (lived) for (const backoff of [this.#passing, this.#lasting]) backoff.reset();
      const retryInMs = (lasting ? this.#lasting : this.#passing).next();
      if (error !== undefined) events.failed(remote, error, retryInMs);
      await this.#closing.waitAtMost(clock, retryInMs);
    }
  }

  async #attempt(events: TransportEvents): Promise<Attempted> {
    try {
      return await this.attempt(events);
    } catch (cause) {
      const error = asBrokerError(cause);
      return { served: false, lived: false, lasting: error.lasting, error };
    }
  }
}
