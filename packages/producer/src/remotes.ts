import type { Clock, CloseReason, Link } from '@evertree/core';
import { NOTHING_KNOWN } from './status.ts';
import type { PeerStatus } from './status.ts';

/** Reasons for which an accepted link ends. Every other reason is a refusal. */
const PASSING: ReadonlySet<CloseReason> = new Set(['going-away', 'replaced', 'silent', 'lost']);

/** A far end by its address: what is known of it before it says its name. */
interface KnownRemote {
  readonly address: string;
  /** Named in the configuration: listed also while nothing is there. */
  readonly configured: boolean;
  /** The site that said hello from there last. */
  site: string | undefined;
  /** The newest link from there, while it lives. */
  link: Link | undefined;
  since: number;
  lastSeen: number | null;
  lastError: string | null;
  /** Why its last link was refused: the same refusal at the next attempt is reported at level debug. */
  turnedAway: string | undefined;
  /** It failed since its last link: further failures are reported at level debug. */
  failing: boolean;
}

/** The far ends' addresses, and who was met there. */
export class Remotes {
  readonly #clock: Clock;
  readonly #remotes = new Map<string, KnownRemote>();

  constructor(clock: Clock, configured: readonly string[]) {
    this.#clock = clock;
    for (const address of configured) this.#remotes.set(address, this.#create(address, true));
  }

  linked(link: Link): void {
    const remote = this.#at(link.remote);
    remote.link = link;
    remote.since = this.#clock.now();
    remote.failing = false;
  }

  identified(link: Link, site: string): void {
    const remote = this.#at(link.remote);
    remote.site = site;
    remote.lastError = null;
  }

  /** The link before from this address was refused, so this one may be refused, too. */
  isSuspect(link: Link): boolean {
    return this.#at(link.remote).turnedAway !== undefined;
  }

  /** The far end accepted the link: the next refusal is news again. */
  accepted(link: Link): void {
    this.#at(link.remote).turnedAway = undefined;
  }

  /** @returns whether this is news, and not the same refusal again */
  unlinked(link: Link, reason: CloseReason, what: string): boolean {
    const explanation = `${reason}: ${what}`;
    const remote = this.#at(link.remote);
    const news = remote.turnedAway !== explanation;
    if (remote.link !== link) return news;
    if (!PASSING.has(reason)) remote.turnedAway = explanation;
    remote.link = undefined;
    remote.since = this.#clock.now();
    remote.lastSeen = link.lastSeen;
    remote.lastError = explanation;
    if (!remote.configured) this.#remotes.delete(remote.address);
    return news;
  }

  /** @returns whether this is news, and not one more of a row of failures */
  failed(address: string, explanation: string): boolean {
    const remote = this.#at(address);
    const first = !remote.failing;
    remote.failing = true;
    remote.lastError = explanation;
    return first;
  }

  siteAt(address: string): string | undefined {
    return this.#remotes.get(address)?.site;
  }

  /**
   * With one configured address and one known site, the site is taken to be there until a hello tells otherwise, so
   * that a pair whose secondary is away at the start lists one peer and not two.
   */
  expect(sites: readonly string[]): { readonly address: string; readonly site: string } | undefined {
    const [remote, ...others] = [...this.#remotes.values()].filter(each => each.site === undefined);
    const [site, ...otherSites] = sites;
    if (remote === undefined || site === undefined || others.length > 0 || otherSites.length > 0) return undefined;
    remote.site = site;
    return { address: remote.address, site };
  }

  /** A site, or a log, is known to be at an address before any link. */
  assign(address: string, site: string): void {
    this.#at(address).site = site;
  }

  forget(site: string): void {
    for (const remote of this.#remotes.values()) if (remote.site === site) remote.site = undefined;
  }

  /** The addresses where no site is known, as peers under their address. */
  strangers(): PeerStatus[] {
    const strangers: PeerStatus[] = [];
    for (const remote of this.#remotes.values()) if (remote.site === undefined) strangers.push(statusOf(remote));
    return strangers;
  }

  #at(address: string): KnownRemote {
    const remote = this.#remotes.get(address) ?? this.#create(address, false);
    this.#remotes.set(address, remote);
    return remote;
  }

  #create(address: string, configured: boolean): KnownRemote {
    const since = this.#clock.now();
    return {
      address,
      configured,
      site: undefined,
      turnedAway: undefined,
      link: undefined,
      since,
      lastSeen: null,
      lastError: null,
      failing: false,
    };
  }
}

function statusOf(remote: KnownRemote): PeerStatus {
  const { address, link, since, lastError } = remote;
  return {
    ...NOTHING_KNOWN,
    site: address,
    remote: address,
    state: link === undefined ? 'offline' : 'probe',
    sentBytes: link?.sentBytes ?? 0,
    since,
    lastSeen: link?.lastSeen ?? remote.lastSeen,
    lastError,
  };
}
