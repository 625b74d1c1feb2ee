import type { CloseReason, Transport, TransportEvents } from '@evertree/core';
import { LinkAttempts } from '../attempts.ts';
import type { Attempted } from '../attempts.ts';
import type { Broker } from '../broker.ts';
import { createBroker } from '../kafkajs/broker.ts';
import type { PublishOptions } from '../options.ts';
import { LinkMemory } from './link-memory.ts';
import { PublishLink } from './link.ts';
import { settle } from './settings.ts';
import type { PublishSettings } from './settings.ts';
import { connectTopic } from './topic-connection.ts';
import type { TopicConnection } from './topic-connection.ts';

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

class Publisher extends LinkAttempts {
  readonly #settings: PublishSettings;
  readonly #memory: LinkMemory;
  /** While it connects. */
  #broker: Broker | undefined;
  #link: PublishLink | undefined;
  /** The attempt that goes on, or was the last. Never rejects. */
  #ended: Promise<unknown> = Promise.resolve();

  constructor(settings: PublishSettings) {
    super({ ...settings, lastingRetryMs: LASTING_RETRY_MS });
    this.#settings = settings;
    this.#memory = new LinkMemory(settings);
  }

  protected override attempt(events: TransportEvents): Promise<Attempted> {
    const attempted = this.#attempt(events);
    this.#ended = attempted.catch(() => undefined);
    return attempted;
  }

  protected override async stop(): Promise<void> {
    this.#link?.close('going-away', 'the primary stops');
    this.#broker?.abandon();
    await this.#ended;
  }

  async #attempt(events: TransportEvents): Promise<Attempted> {
    const topic = await this.#connect();
    if (this.isClosed) {
      void topic.broker.close();
      return { served: true, lived: false, lasting: false };
    }
    const { clock } = this.#settings;
    const beganAt = clock.monotonic();
    const link = new PublishLink(this.#settings, topic, this.#memory);
    this.#link = link;
    events.link(link);
    const reason = await link.ended;
    this.#link = undefined;
    return { served: true, lived: link.hasAccepted || clock.monotonic() - beganAt > LIVED_MS, lasting: !PASSING.has(reason) };
  }

  async #connect(): Promise<TopicConnection> {
    const { connection, report, clock, limits } = this.#settings;
    const broker = createBroker({ connection, report, clock, answerMs: limits.answerMs });
    this.#broker = broker;
    try {
      return await connectTopic(broker, this.#settings, this.#memory.once);
    } catch (error) {
      void broker.close();
      throw error;
    } finally {
      this.#broker = undefined;
    }
  }
}
