import type { CloseReason, FarEnd, Transport, TransportEvents } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { asBrokerError } from '../broker.ts';
import type { Broker, BrokerError } from '../broker.ts';
import { createBroker } from '../kafkajs/broker.ts';
import type { PublishOptions } from '../options.ts';
import { LinkMemory } from './link-memory.ts';
import { PublishLink } from './link.ts';
import { settle } from './settings.ts';
import type { PublishSettings } from './settings.ts';
import { connectTopic } from './topic-connection.ts';

/** The first wait after what will not mend itself; it grows to 30 s. */
const LASTING_RETRY_MS = 1_000;
/** A link that lasted so long has lived, even if it carried nothing. */
const LIVED_MS = 10_000;
/** Reasons that pass: the broker's, and a stop. Every other one is this primary's refusal, or its own trouble. */
const PASSING: ReadonlySet<CloseReason> = new Set<CloseReason>(['lost', 'silent', 'going-away', 'too-large']);

/**
 * A primary's end of a Kafka topic: one link at a time, made again for ever with growing waits. Its far end is a log: it says hello
 * for the topic, acknowledges what the topic has, and tells of the secondaries that read there.
 *
 * `open` resolves as soon as it has begun to try. What trying again can't mend ends the transport if it is found before the first link
 * (`failed` with `retryInMs: Infinity`); later it is tried again slowly, because credentials and rights are changed while sites run.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function publishTransport(options: PublishOptions): Transport {
  return new Publisher(settle(options));
}

class Publisher implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  readonly #settings: PublishSettings;
  readonly #memory: LinkMemory;
  readonly #passing: Backoff;
  readonly #lasting: Backoff;
  /** While an attempt is under way. */
  #broker: Broker | undefined;
  #link: PublishLink | undefined;
  #wait: Disposable | undefined;
  #linkedBefore = false;
  #closed = false;
  readonly #idle = Promise.withResolvers<void>();

  constructor(settings: PublishSettings) {
    const { limits, random } = settings;
    this.#settings = settings;
    this.#memory = new LinkMemory(settings);
    this.remotes = [settings.remote];
    this.farEnd = settings.farEnd;
    this.#passing = new Backoff(limits.retryMs, random, limits.retryMostMs);
    this.#lasting = new Backoff(LASTING_RETRY_MS, random);
  }

  open(events: TransportEvents): Promise<void> {
    void this.#attempt(events);
    return Promise.resolve();
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#wait?.[Symbol.dispose]();
      this.#link?.close('going-away', 'the primary stops');
      this.#broker?.abandon();
      if (this.#broker === undefined && this.#link === undefined) this.#idle.resolve();
    }
    return this.#idle.promise;
  }

  async #attempt(events: TransportEvents): Promise<void> {
    const { connection, report, clock, limits } = this.#settings;
    const broker = createBroker({ connection, report, clock, answerMs: limits.answerMs });
    this.#broker = broker;
    try {
      const topic = await connectTopic(broker, this.#settings, this.#memory.once);
      this.#broker = undefined;
      if (!this.#closed) return void this.#run(events, new PublishLink(this.#settings, topic, this.#memory));
      void broker.close();
      this.#idle.resolve();
    } catch (error) {
      this.#broker = undefined;
      void broker.close();
      this.#failed(events, asBrokerError(error));
    }
  }

  async #run(events: TransportEvents, link: PublishLink): Promise<void> {
    const { clock } = this.#settings;
    const beganAt = clock.monotonic();
    this.#linkedBefore = true;
    this.#link = link;
    events.link(link);
    const reason = await link.ended;
    this.#link = undefined;
    if (this.#closed) return this.#idle.resolve();
    if (link.hasAccepted || clock.monotonic() - beganAt > LIVED_MS) {
      this.#passing.reset();
      this.#lasting.reset();
    }
    this.#again(events, (PASSING.has(reason) ? this.#passing : this.#lasting).next());
  }

  #failed(events: TransportEvents, error: BrokerError): void {
    if (this.#closed) return this.#idle.resolve();
    if (error.lasting && !this.#linkedBefore) return events.failed(this.#settings.remote, error, Infinity);
    const waitMs = (error.lasting ? this.#lasting : this.#passing).next();
    this.#again(events, waitMs);
    events.failed(this.#settings.remote, error, waitMs);
  }

  #again(events: TransportEvents, waitMs: number): void {
    this.#wait = this.#settings.clock.after(waitMs, () => void this.#attempt(events));
  }
}
