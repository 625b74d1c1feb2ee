import type { Link, LogMessage, Message, Reason, Store } from '@evertree/core';
import type { CommitTimes } from './commit-times.ts';
import { Reader } from './reader.ts';
import type { PeerStatus } from './status.ts';

/** The link to a log, and the log's name. */
interface Log {
  readonly site: string;
  readonly link: Link;
}

export interface ReadersOptions {
  readonly store: Store;
  readonly times: CommitTimes;
  /** Whether a site has a link of its own, so that what it once said at a log is past. */
  isLinked(site: string): boolean;
  /** A site was met at a log. */
  met(site: string): void;
  changed(status: PeerStatus): void;
  resync(site: string, reason: Reason): void;
}

/** The secondaries that read from logs, by their sites' names. */
export class Readers {
  readonly #options: ReadersOptions;
  readonly #readers = new Map<string, { readonly reader: Reader; readonly log: Log }>();
  /** Taken off the list: a log that still tells of them from its past is told. */
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
  take(log: Log, message: Message): boolean {
    switch (message.type) {
      case 'reader':
        this.#heard(log, message);
        return true;
      case 'acknowledge':
        if (message.site === log.site) return false;
        this.#readers.get(message.site)?.reader.acknowledged(message.applied, message.durable);
        return true;
      case 'reader-resync':
        this.#readers.get(message.site)?.reader.resync(message.reason);
        this.#options.resync(message.site, message.reason);
        return true;
      case 'reader-lost':
        this.#lost(log, message);
        return true;
      default:
        return false;
    }
  }

  /** A log's link is gone, and with it word of who reads there; why it is gone, the log's own status tells. */
  lost(link: Link): void {
    for (const { reader, log } of this.#readers.values()) {
      if (log.link === link && reader.present) reader.lost('lost', `${log.site} is away`);
    }
  }

  /** The site has a link of its own from now on. */
  drop(site: string): void {
    this.#readers.delete(site);
  }

  /** Takes a site off the list that is known and gone; a log that is away hears of it when it tells of the site. */
  forget(site: string): void {
    this.#readers.get(site)?.log.link.send({ type: 'forget', site });
    this.#readers.delete(site);
    this.#forgotten.add(site);
  }

  #lost(log: Log, { site, reason, explanation }: Extract<LogMessage, { type: 'reader-lost' }>): void {
    this.#readers.get(site)?.reader.lost(reason, explanation);
    const level = reason === 'going-away' ? 'info' : 'warn';
    const message = `${site} reads from ${log.site} no more (${reason}): ${explanation}`;
    this.#options.store.report({ level, event: 'reader-lost', message, details: { site, log: log.site, reason } });
  }

  #heard(log: Log, { hello, present }: Extract<LogMessage, { type: 'reader' }>): void {
    const { site } = hello;
    if (this.#options.isLinked(site)) return;
    if (present) this.#forgotten.delete(site);
    if (this.#forgotten.has(site)) return log.link.send({ type: 'forget', site });
    this.#options.met(site);
    const known = this.#readers.get(site);
    const reader =
      known?.reader ??
      new Reader(hello, {
        store: this.#options.store,
        times: this.#options.times,
        through: { site: log.site, remote: log.link.remote },
        changed: changed => this.#options.changed(changed.status()),
      });
    this.#readers.set(site, { reader, log });
    if (present && known?.reader.present !== true) {
      this.#options.store.report({
        level: 'info',
        event: 'reader-met',
        message: `${site} (${hello.program}) reads from ${log.site}`,
        details: { site, log: log.site, position: hello.position },
      });
    }
    void reader.heard(hello, present);
  }
}
