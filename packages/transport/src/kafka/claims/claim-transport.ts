import { EvertreeError } from '@evertree/core';
import type { FarEnd, Transport, TransportEvents } from '@evertree/core';
import { asBrokerError } from '../broker.ts';
import type { Broker } from '../broker.ts';
import type { MakeBroker } from '../clients.ts';
import type { PublishOptions } from '../options.ts';
import { publisherSettings } from '../publish/settings.ts';
import type { PublisherSettings } from '../publish/settings.ts';
import { ClaimLink } from './claim-link.ts';
import { openClaimTopic } from './claim-topic.ts';

/**
 * The end of a topic of a site that is being promoted. Its one link asks a topic what a promotion asks of sites: where it
 * stands, for a promise, which is a claim there, and for the frames before that claim. It feeds nothing, and makes no
 * topic. PROTOCOL.md, «Claims».
 *
 * It tries once: a topic that can't be reached is told with `failed`, and not tried again.
 * @param options as of the end with which the site would lead
 * @param connect the client: `loadKafkaClient`
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function claimTransport(options: PublishOptions, connect: MakeBroker): Transport {
  return new Claimant(publisherSettings(options), connect);
}

class Claimant implements Transport {
  readonly remotes: readonly string[];
  readonly farEnd: FarEnd;
  readonly #settings: PublisherSettings;
  readonly #connect: MakeBroker;
  #broker: Broker | undefined;
  #link: ClaimLink | undefined;
  #isClosed = false;

  constructor(settings: PublisherSettings, connect: MakeBroker) {
    this.remotes = [settings.remote];
    this.farEnd = settings.farEnd;
    this.#settings = settings;
    this.#connect = connect;
  }

  open(events: TransportEvents): Promise<void> {
    void this.#open(events);
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#link?.close('going-away', 'the promotion is over');
    this.#broker?.abandon();
    await this.#broker?.close();
  }

  async #open(events: TransportEvents): Promise<void> {
    const { connection, report, clock, limits, remote } = this.#settings;
    const broker = this.#connect({ connection, report, clock, answerMs: limits.answerMs });
    this.#broker = broker;
    try {
      const topic = await openClaimTopic(broker, this.#settings);
      if (this.#isClosed) throw new EvertreeError('CLOSED', 'the promotion is over');
      this.#link = new ClaimLink(this.#settings, topic);
      events.link(this.#link);
    } catch (error) {
      broker.abandon();
      if (!this.#isClosed) events.failed(remote, asBrokerError(error), Infinity);
    }
  }
}
