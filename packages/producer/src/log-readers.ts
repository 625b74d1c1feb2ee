import { SITE } from '@evertree/core';
import type { Link, LogMessage, Message, Reporter } from '@evertree/core';
import type { LogLink, Peer } from './peer.ts';
import type { Peers } from './peers.ts';

/** The secondaries that read from logs, as the logs tell of them. */
export class LogReaders {
  readonly #peers: Peers;
  readonly #report: Reporter;
  /** Sites taken off the list. A log that still tells of one from its past is told to forget it. */
  readonly #forgotten = new Set<string>();

  constructor(peers: Peers, report: Reporter) {
    this.#peers = peers;
    this.#report = report;
  }

  /** @returns whether the message was about a reader */
  take(log: LogLink, message: Message): boolean {
    switch (message.type) {
      case 'reader':
        this.#heard(log, message);
        return true;
      case 'acknowledge':
        if (message.site === log.name) return false;
        this.#readerOf(message.site)?.acknowledged(message.applied, message.durable);
        return true;
      case 'reader-resync':
        this.#readerOf(message.site)?.resyncing(message.reason);
        return true;
      case 'reader-lost':
        this.#lost(log, message);
        return true;
      default:
        return false;
    }
  }

  /** A log's link is gone, so nothing is heard of its readers. The log's own status says why. */
  logLost(link: Link): void {
    for (const peer of this.#peers.all()) {
      if (peer.log?.link === link && peer.isPresent) peer.readerLost('lost', `${peer.log.name} is away`, false);
    }
  }

  /** A site was taken off the list. Its log is told, now or, if it is away, when it next tells of the site. */
  forget(site: string, log: LogLink | undefined): void {
    log?.link.send({ type: 'forget', site });
    this.#forgotten.add(site);
  }

  /** Undefined also for a site that has a link of its own: what a log tells of it is out of date. */
  #readerOf(site: string): Peer | undefined {
    const peer = this.#peers.get(site);
    return peer?.log === undefined ? undefined : peer;
  }

  #lost(log: LogLink, { site, reason, explanation }: Extract<LogMessage, { type: 'reader-lost' }>): void {
    this.#readerOf(site)?.readerLost(reason, explanation, true);
    const level = reason === 'going-away' ? 'info' : 'warn';
    const message = `${site} reads from ${log.name} no more (${reason}): ${explanation}`;
    this.#report({ level, event: 'reader-lost', message, details: { site, log: log.name, reason } });
  }

  #heard(log: LogLink, { hello, present }: Extract<LogMessage, { type: 'reader' }>): void {
    const { site } = hello;
    const known = this.#peers.get(site);
    if (known?.link !== undefined) return;
    if (present) this.#forgotten.delete(site);
    if (this.#forgotten.has(site)) return log.link.send({ type: 'forget', site });
    if (present && !(known?.log !== undefined && known.isPresent)) {
      this.#report({
        level: 'info',
        event: 'reader-met',
        message: `${site} (${hello.program}) reads from ${log.name}`,
        details: { site, log: log.name, position: hello.position },
      });
    }
    const peer = known ?? this.#peers.add(site, undefined, SITE);
    this.#peers.leaveAddress(site);
    void peer.heard({ ...log }, hello, present);
  }
}
