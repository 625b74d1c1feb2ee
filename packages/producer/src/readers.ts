import type { Link, Message, RelayMessage, Store } from '@evertree/core';
import type { CommitTimes } from './commit-times.ts';
import { Reader } from './reader.ts';
import type { PeerStatus } from './status.ts';

/** A relay's link, and the name that the relay said. */
interface Relay {
  readonly site: string;
  readonly link: Link;
}

export interface ReadersOptions {
  readonly store: Store;
  readonly times: CommitTimes;
  /** Whether a site has a link of its own, so that what it once said at a relay is past. */
  isLinked(site: string): boolean;
  /** A site was met at a relay. */
  met(site: string): void;
  changed(status: PeerStatus): void;
  resync(site: string, reason: string): void;
}

/** The secondaries that read from relays, by their sites' names. */
export class Readers {
  readonly #options: ReadersOptions;
  readonly #readers = new Map<string, { readonly reader: Reader; readonly relay: Relay }>();
  /** Taken off the list: a relay that still tells of them from its past is told. */
  readonly #forgotten = new Set<string>();

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  has(site: string): boolean {
    return this.#readers.has(site);
  }

  /** Whether it was heard by now, and is not lost. */
  isPresent(site: string): boolean {
    return this.#readers.get(site)?.reader.present === true;
  }

  statuses(): PeerStatus[] {
    return Array.from(this.#readers.values(), ({ reader }) => reader.status());
  }

  /** @returns whether the message was about a reader */
  take(relay: Relay, message: Message): boolean {
    switch (message.type) {
      case 'reader':
        this.#heard(relay, message);
        return true;
      case 'acknowledge':
        if (message.site === relay.site) return false;
        this.#readers.get(message.site)?.reader.acknowledged(message.applied, message.durable);
        return true;
      case 'reader-resync':
        this.#readers.get(message.site)?.reader.resync(message.reason);
        this.#options.resync(message.site, message.reason);
        return true;
      case 'reader-lost':
        this.#lost(relay, message);
        return true;
      default:
        return false;
    }
  }

  /** A relay's link is gone, and with it word of who reads there; why it is gone, the relay's own status tells. */
  lost(link: Link): void {
    for (const { reader, relay } of this.#readers.values()) {
      if (relay.link === link && reader.present) reader.lost('lost', `${relay.site} is away`);
    }
  }

  /** The site has a link of its own from now on. */
  drop(site: string): void {
    this.#readers.delete(site);
  }

  /** Takes a site off the list that is known and gone; a relay that is away hears of it when it tells of the site. */
  forget(site: string): void {
    this.#readers.get(site)?.relay.link.send({ type: 'forget', site });
    this.#readers.delete(site);
    this.#forgotten.add(site);
  }

  #lost(relay: Relay, { site, reason, explanation }: Extract<RelayMessage, { type: 'reader-lost' }>): void {
    this.#readers.get(site)?.reader.lost(reason, explanation);
    const level = reason === 'going-away' ? 'info' : 'warn';
    const message = `${site} reads from ${relay.site} no more (${reason}): ${explanation}`;
    this.#options.store.report({ level, event: 'reader-lost', message, details: { site, relay: relay.site, reason } });
  }

  #heard(relay: Relay, { hello, present }: Extract<RelayMessage, { type: 'reader' }>): void {
    const { site } = hello;
    if (this.#options.isLinked(site)) return;
    if (present) this.#forgotten.delete(site);
    if (this.#forgotten.has(site)) return relay.link.send({ type: 'forget', site });
    this.#options.met(site);
    const known = this.#readers.get(site);
    const reader =
      known?.reader ??
      new Reader(hello, {
        store: this.#options.store,
        times: this.#options.times,
        through: { site: relay.site, remote: relay.link.remote },
        changed: changed => this.#options.changed(changed.status()),
      });
    this.#readers.set(site, { reader, relay });
    if (present && known?.reader.present !== true) {
      this.#options.store.report({
        level: 'info',
        event: 'reader-met',
        message: `${site} (${hello.program}) reads from ${relay.site}`,
        details: { site, relay: relay.site, position: hello.position },
      });
    }
    void reader.heard(hello, present);
  }
}
