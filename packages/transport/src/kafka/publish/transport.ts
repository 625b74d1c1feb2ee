import type { CloseReason, FarEnd, Transport, TransportEvents } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { asBrokerError } from '../broker.ts';
import type { BrokerError } from '../broker.ts';
import type { PublishOptions } from '../options.ts';
import { ForeignFrames } from './foreign.ts';
import { PublishLink } from './link.ts';
import { Once } from './once.ts';
import { Session } from './session.ts';
import { settle } from './settings.ts';
import type { Settings } from './settings.ts';

/** The first wait after what will not mend itself; it grows to 30 s. */
const LASTING_RETRY_MS = 1_000;
/** A link that lasted so long has lived, even if it carried nothing. */
const LIVED_MS = 10_000;
/** This end's own links, by their signs: late records of theirs are nobody else's. */
const MOST_SIGNS = 16;
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
  readonly #settings: Settings;
  readonly #once: Once;
  readonly #signs = new Set<string>();
  readonly #foreign = new ForeignFrames();
  readonly #passing: Backoff;
  readonly #lasting: Backoff;
  #session: Session | undefined;
  #link: PublishLink | undefined;
  #wait: Disposable | undefined;
  #lived: Disposable | undefined;
  #linkedBefore = false;
  #closed = false;
  readonly #idle = Promise.withResolvers<void>();

  constructor(settings: Settings) {
    const { limits, random } = settings;
    this.#settings = settings;
    this.#once = new Once(settings.report);
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
      this.#session?.abandon();
      if (this.#session === undefined && this.#link === undefined) this.#idle.resolve();
    }
    return this.#idle.promise;
  }

  async #attempt(events: TransportEvents): Promise<void> {
    const session = new Session(this.#settings);
    this.#session = session;
    try {
      await session.open(this.#once);
      this.#session = undefined;
      this.#linked(events, session);
    } catch (error) {
      this.#session = undefined;
      session.abandon();
      this.#failed(events, asBrokerError(error));
    }
  }

  #linked(events: TransportEvents, session: Session): void {
    if (this.#closed) {
      session.abandon();
      this.#idle.resolve();
      return;
    }
    const { clock } = this.#settings;
    this.#linkedBefore = true;
    this.#lived = clock.after(LIVED_MS, () => this.#accepted());
    const link = new PublishLink({
      session,
      once: this.#once,
      sign: this.#drawSign(),
      signs: this.#signs,
      foreign: this.#foreign,
      accepted: () => this.#accepted(),
      gone: reason => this.#gone(events, reason),
    });
    this.#link = link;
    events.link(link);
  }

  #gone(events: TransportEvents, reason: CloseReason): void {
    this.#lived?.[Symbol.dispose]();
    this.#link = undefined;
    if (this.#closed) this.#idle.resolve();
    else this.#again(events, (PASSING.has(reason) ? this.#passing : this.#lasting).next());
  }

  #failed(events: TransportEvents, error: BrokerError): void {
    if (this.#closed) {
      this.#idle.resolve();
      return;
    }
    if (error.lasting && !this.#linkedBefore) {
      events.failed(this.#settings.remote, error, Infinity);
      return;
    }
    const waitMs = (error.lasting ? this.#lasting : this.#passing).next();
    this.#again(events, waitMs);
    events.failed(this.#settings.remote, error, waitMs);
  }

  #again(events: TransportEvents, waitMs: number): void {
    this.#wait = this.#settings.clock.after(waitMs, () => void this.#attempt(events));
  }

  #accepted(): void {
    this.#passing.reset();
    this.#lasting.reset();
  }

  #drawSign(): string {
    const sign = Buffer.from(this.#settings.random.bytes(8)).toString('hex');
    const [oldest] = this.#signs;
    if (this.#signs.size >= MOST_SIGNS && oldest !== undefined) this.#signs.delete(oldest);
    this.#signs.add(sign);
    return sign;
  }
}
