import type { CloseReason, Transport, TransportEvents } from '@evertree/core';
import { LinkAttempts } from '../attempts.ts';
import type { Attempted } from '../attempts.ts';
import type { Broker } from '../broker.ts';
import type { MakeBroker } from '../clients.ts';
import type { PublishOptions } from '../options.ts';
import { LinkMemory } from './link-memory.ts';
import { PublishLink } from './link.ts';
import { publisherSettings } from './settings.ts';
import type { PublisherSettings } from './settings.ts';
import { connectTopic } from './topic-connection.ts';
import type { TopicConnection } from './topic-connection.ts';

/** The first wait after a failure that somebody has to mend; it grows to 30 s. */
const LASTING_RETRY_MS = 1_000;
/** A link that lasted so long counts as a success, even if it carried nothing. */
const LIVED_MS = 10_000;
/**
 * Reasons after which a new link may succeed at once. After any other reason this primary refused the link or failed.
 */
const PASSING: ReadonlySet<CloseReason> = new Set<CloseReason>(['lost', 'silent', 'going-away', 'too-large']);

/**
 * A primary's end of a Kafka topic: one link at a time, made again with growing waits until it is closed. Its far end
 * is a log: it says hello for the topic, acknowledges what the topic has, and tells of the secondaries that read there.
 *
 * `open` resolves as soon as it has begun to try. What trying again can't mend ends the transport if it is found before
 * the first link (`failed` with `retryInMs: Infinity`); later it is tried again slowly, because credentials and rights
 * are changed while sites run.
 * @param connect the client: `loadKafkaClient`
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function publishTransport(options: PublishOptions, connect: MakeBroker): Transport {
  return new Publisher(publisherSettings(options), connect);
}

class Publisher extends LinkAttempts {
  readonly #settings: PublisherSettings;
  readonly #connect: MakeBroker;
  readonly #memory: LinkMemory;
  /** Of the present or the last attempt. */
  #broker: Broker | undefined;
  /** The attempt's link; undefined before there is one, and when it is over. */
  #link: PublishLink | undefined;
  /** Resolves when nothing is left of the attempt. */
  #over: Promise<void> = Promise.resolve();

  constructor(settings: PublisherSettings, connect: MakeBroker) {
    super({ ...settings, lastingRetryMs: LASTING_RETRY_MS });
    this.#settings = settings;
    this.#connect = connect;
    this.#memory = new LinkMemory(settings);
  }

  protected override async attempt(events: TransportEvents): Promise<Attempted> {
    const { connection, report, clock, limits } = this.#settings;
    const over = Promise.withResolvers<void>();
    const broker = this.#connect({ connection, report, clock, answerMs: limits.answerMs });
    this.#over = over.promise;
    this.#broker = broker;
    try {
      const topic = await connectTopic(broker, this.#settings, this.#memory.once);
      return this.isClosed ? { served: true, lived: false, lasting: false } : await this.#live(events, topic);
    } finally {
      // Closing does not wait for the remaining connections.
      void broker.close();
      over.resolve();
    }
  }

  protected override stop(why = 'the primary stops'): Promise<void> {
    if (this.#link === undefined) this.#broker?.abandon();
    else this.#link.close('going-away', why);
    return this.#over;
  }

  /** One link, from its beginning to its end. */
  async #live(events: TransportEvents, topic: TopicConnection): Promise<Attempted> {
    const { clock } = this.#settings;
    const beganAt = clock.monotonic();
    const link = new PublishLink(this.#settings, topic, this.#memory);
    this.#link = link;
    events.link(link);
    const reason = await link.ended;
    this.#link = undefined;
    const lived = link.hasAccepted || clock.monotonic() - beganAt > LIVED_MS;
    return { served: true, lived, lasting: !PASSING.has(reason) };
  }
}
