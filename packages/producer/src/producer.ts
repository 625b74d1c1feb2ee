import { Emitter, EvertreeError, SITE, greet, helloOf, highestEpoch, samePosition } from '@evertree/core';
import type {
  CloseReason,
  EpochName,
  ExactPosition,
  FarEnd,
  Hello,
  Introduction,
  Link,
  LinkEvents,
  Message,
  Reason,
  Report,
  RoleHandler,
  RoleMessage,
  Store,
  Transport,
} from '@evertree/core';
import { CommitTimes } from './commit-times.ts';
import { refuseAtTheDoor, refuseByHello } from './decision.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { ProducerLimits } from './limits.ts';
import { LogReaders } from './log-readers.ts';
import { Namesakes } from './namesakes.ts';
import { ownHistory } from './own-history.ts';
import type { LogLink, Peer } from './peer.ts';
import { Peers } from './peers.ts';
import { Remotes } from './remotes.ts';
import type { PeerStatus } from './status.ts';

export interface ProducerOptions {
  /** A primary's store; the producer does not close it. */
  readonly store: Store;
  /** Not yet opened; the producer opens and closes them. */
  readonly transports: readonly Transport[];
  readonly limits?: Partial<ProducerLimits>;
  /** The program's name and version, as the far ends are told. */
  readonly program?: string;
  /** This site has what a secondary needs. */
  readonly standby?: boolean;
  /** Where clients reach this site's HTTP, as of now. */
  readonly advertised?: () => string | undefined;
  /** Takes what a peer says about who leads. */
  readonly role?: RoleHandler;
}

export interface ProducerEvents {
  /** A peer's state, or its last error, changed; or it is new. */
  peer(status: PeerStatus): void;
  /** A peer is about to get a full copy, for this reason. */
  resync(resync: { readonly site: string; readonly reason: Reason }): void;
  /** A far end is a primary, too, as far as it knows; or one whose name is not known has written to a log. */
  rival(rival: { readonly site: string | undefined; readonly remote: string; readonly epoch: EpochName }): void;
  /** This primary's reign does not stand in a log: it has to begin an epoch numbered above `above` (reports tell why). */
  'reign-void'(above: number): void;
  /** A transport failed and will not try again. */
  stopped(error: Error): void;
  /** It was closed: nobody is fed any more. */
  closed(): void;
}

/**
 * Feeds the secondaries of a primary from its journal, each by itself. The journal is the only queue: a peer is a
 * reader of it and a few numbers, so one that is slow, hangs or is dead delays neither commits nor the others.
 */
export class Producer implements AsyncDisposable {
  readonly #store: Store;
  readonly #transports: readonly Transport[];
  readonly #limits: ProducerLimits;
  readonly #options: ProducerOptions;
  readonly #peers: Peers;
  readonly #logReaders: LogReaders;
  readonly #namesakes = new Namesakes();
  /** Links to logs in which another site's reign leads, and that reign's number: they take nothing before a higher epoch. */
  readonly #outnumbered = new Map<Link, number>();
  readonly #times: CommitTimes;
  readonly #remotes: Remotes;
  readonly #events: Emitter<ProducerEvents>;
  /** What the peers have been told of. Never beyond the journal's. */
  #stable: ExactPosition;
  #progress: Disposable | undefined;
  /** That it was closed was told. */
  #isOver = false;

  constructor(options: ProducerOptions) {
    const { store, transports } = options;
    this.#store = store;
    this.#transports = transports;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#options = options;
    this.#stable = store.journal.log.stable;
    this.#events = new Emitter(store.report);
    this.#times = new CommitTimes(this.#stable.revision);
    this.#remotes = new Remotes(
      store.clock,
      transports.flatMap(transport => transport.remotes),
    );
    this.#peers = new Peers({
      store,
      limits: this.#limits,
      times: this.#times,
      remotes: this.#remotes,
      changed: status => this.#events.emit('peer', status),
      resync: (site, reason) => this.#resynced(site, reason),
    });
    this.#logReaders = new LogReaders(this.#peers, store.report);
  }

  /**
   * Resolves when every transport listens or dials.
   * @throws EvertreeError WRONG_ROLE at a secondary; STORAGE_FAILED if its epoch can't be made stable; what a transport throws that can never listen
   */
  async open(): Promise<void> {
    const { journal, role, site } = this.#store;
    if (role !== 'primary') {
      throw new EvertreeError('WRONG_ROLE', `the site ${site} is a secondary: it has a consumer, and no producer`, { site, role });
    }
    // A hello lists an epoch only once it is stable, and far ends judge this site by its hello.
    const { position } = this.#store.stable;
    if ((this.#store.epochs.at(-1)?.base.revision ?? -1) >= position.revision) await journal.log.flush();
    const logs = new Map(this.#transports.flatMap(({ farEnd }) => (farEnd.kind === 'log' ? [[farEnd.name, farEnd] as const] : [])));
    await this.#peers.recall(name => logs.get(name) ?? SITE);
    this.#expectLogs();
    const expected = this.#remotes.expect(Array.from(this.#peers.all(), peer => peer.site).filter(name => !logs.has(name)));
    if (expected !== undefined) this.#peers.get(expected.site)?.expectAt(expected.address);
    this.#progress = journal.log.onProgress(() => this.#progressed());
    try {
      await Promise.all(
        this.#transports.map(transport =>
          transport.open({
            link: link => this.#introduce(link, transport.farEnd),
            failed: (remote, error, retryInMs) => this.#failed(remote, error, retryInMs),
          }),
        ),
      );
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Every secondary ever met here, and every configured address where nobody said hello yet. */
  get peers(): PeerStatus[] {
    return [...Array.from(this.#peers.all(), peer => peer.status()), ...this.#remotes.strangers()];
  }

  on<Name extends keyof ProducerEvents>(name: Name, listener: ProducerEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * Takes a lost secondary off the list: retention keeps nothing for it any more, and it counts for no acknowledgement.
   * @returns false when it is not listed, or is linked: then it would be listed again at once
   */
  forget(site: string): boolean {
    const peer = this.#peers.get(site);
    if (peer?.isPresent === true) return false;
    const wasKnown = this.#peers.forget(site);
    this.#namesakes.forget(site);
    if (wasKnown) this.#logReaders.forget(site, peer?.log);
    return wasKnown;
  }

  /**
   * Says something about who leads to a secondary, over its link or through the log that it reads from.
   * @returns false when it is not linked
   */
  sendRole(site: string, message: RoleMessage): boolean {
    const peer = this.#peers.get(site);
    return this.#say(peer?.link ?? (peer?.isPresent === true ? peer.log?.link : undefined), site, message);
  }

  /** Closes every link as `going-away`. Idempotent. */
  async close(): Promise<void> {
    this.#progress?.[Symbol.dispose]();
    const why = farewell(this.#store);
    await Promise.all(this.#transports.map(transport => transport.close(why)));
    await Promise.all(Array.from(this.#peers.all(), peer => peer.close()));
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.emit('closed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A log is listed before its first link, so that an absent one is seen to be away. */
  #expectLogs(): void {
    for (const { farEnd, remotes } of this.#transports) {
      if (farEnd.kind === 'site') continue;
      const peer = this.#peers.get(farEnd.name) ?? this.#peers.add(farEnd.name, undefined, farEnd);
      for (const address of remotes) {
        this.#remotes.assign(address, farEnd.name);
        peer.expectAt(address);
      }
    }
  }

  #progressed(): void {
    const { stable } = this.#store.journal.log;
    const grown = !samePosition(stable, this.#stable);
    this.#stable = stable;
    if (grown) this.#times.grown(stable.revision, this.#store.clock.now());
    this.#leaveOutnumbered();
    for (const peer of this.#peers.all()) peer.progressed(grown);
  }

  #introduce(link: Link, farEnd: FarEnd): void {
    this.#remotes.linked(link);
    greet(link, {
      store: this.#store,
      helloMs: this.#limits.helloMs,
      meet: hello => this.#meet(link, farEnd, hello),
      left: (reason, explanation, byPeer) => this.#closed(link, undefined, reason, explanation, byPeer),
    });
    link.send({ type: 'hello', hello: helloOf(this.#store, this.#introduction()) });
  }

  #introduction(): Introduction {
    const { program = 'evertree', standby = false, advertised } = this.#options;
    return { program, standby, advertised: advertised?.(), raises: undefined };
  }

  /** @returns who takes the link's messages from now on; undefined when it is turned away */
  #meet(link: Link, farEnd: FarEnd, hello: Hello): LinkEvents | undefined {
    if (hello.standing === 'primary' && farEnd.kind === 'site') {
      const { number, id } = highestEpoch(hello.epochs, hello.position);
      this.#events.emit('rival', { site: hello.site, remote: link.remote, epoch: { number, id } });
    }
    const known = this.#peers.get(hello.site);
    if (known?.link !== undefined && !this.#fences(hello, farEnd)) {
      if (this.#isImpostor(link, farEnd, hello) || this.#isNamesake(link, known, known.link)) return undefined;
    }
    const peer = known ?? this.#peers.add(hello.site, undefined, farEnd);
    this.#remotes.identified(link, hello.site);
    this.#tell({
      level: this.#remotes.isSuspect(link) ? 'debug' : 'info',
      event: 'peer-linked',
      message: `${hello.site} (${hello.program}) is linked from ${link.remote}`,
      details: { site: hello.site, remote: link.remote, position: hello.position },
    });
    void peer.adopt(link, farEnd, hello);
    const log = farEnd.kind === 'log' ? { name: peer.site, link } : undefined;
    return {
      message: message => this.#receive(link, peer, log, message),
      drained: () => peer.drained(link),
      closed: (reason, explanation, byPeer) => this.#closed(link, peer, reason, explanation, byPeer),
    };
  }

  #receive(link: Link, peer: Peer, log: LogLink | undefined, message: Message): void {
    if (message.type === 'acknowledge') this.#remotes.accepted(link);
    if (message.type === 'role') return this.#hearRole(link, peer, log, message);
    if (log !== undefined && message.type === 'reign-void') return this.#hearReignVoid(link, message);
    if (log !== undefined && this.#logReaders.take(log, message)) return;
    peer.receive(link, message);
  }

  #hearReignVoid(link: Link, { above, rival, explanation }: Extract<Message, { type: 'reign-void' }>): void {
    const { remote } = link;
    this.#tell({ level: rival === undefined ? 'warn' : 'error', event: 'reign-void', message: explanation, details: { above } });
    if (rival !== undefined) {
      this.#outnumbered.set(link, above);
      this.#events.emit('rival', { site: undefined, remote, epoch: rival });
    }
    this.#events.emit('reign-void', above);
  }

  /**
   * A higher epoch has begun: a link that took nothing before ends, and the next one carries on. It would not hear of the
   * epoch, as what it did not take fills its window.
   */
  #leaveOutnumbered(): void {
    for (const [link, above] of this.#outnumbered) {
      if (this.#stable.epoch > above)
        link.close('going-away', `${this.#store.site} goes on in epoch ${this.#stable.epoch} over a new link`);
    }
  }

  /** A message about who leads; the peer is a log's if `log` is set, and then a reader says it. */
  #hearRole(link: Link, peer: Peer, log: LogLink | undefined, { from, message }: Extract<Message, { type: 'role' }>): void {
    if (log === undefined && from !== peer.site) {
      return link.close('protocol-violation', `${peer.site} speaks in the name of ${from}`);
    }
    this.#options.role?.(from, message, answer => this.#say(peer.link === link ? link : undefined, from, answer));
  }

  #say(link: Link | undefined, to: string, message: RoleMessage): boolean {
    link?.send({ type: 'role', from: this.#store.site, to, message });
    return link !== undefined;
  }

  /** Whether this primary may take no writes after such a hello, whoever said it: it has to be heard then. */
  #fences(hello: Hello, farEnd: FarEnd): boolean {
    return refuseByHello(ownHistory(this.#store), hello, farEnd)?.fence !== undefined;
  }

  /** A far end that bears a linked secondary's name, and by its hello can't be that secondary, is refused. */
  #isImpostor(link: Link, farEnd: FarEnd, hello: Hello): boolean {
    const refused = refuseAtTheDoor(ownHistory(this.#store), hello, farEnd);
    if (refused === undefined) return false;
    this.#tell({ level: 'warn', event: 'peer-refused', message: refused.error.message, details: { remote: link.remote } });
    link.close(refused.reason, refused.error.message);
    return true;
  }

  /**
   * Two live sites of one name would replace each other's links in turn: the newer one is refused, and both addresses
   * are told.
   */
  #isNamesake(link: Link, peer: Peer, present: Link): boolean {
    const { site } = peer;
    if (present.remote === link.remote || !this.#namesakes.isAnother(site, this.#store.clock.monotonic())) return false;
    const message =
      `two sites call themselves ${site}: one is linked from ${present.remote}, and the one at ${link.remote} is refused. ` +
      'If its directory is a copy of the other, start it with a name of its own (--site), or stop it';
    if (this.#namesakes.tell(site)) {
      this.#tell({ level: 'warn', event: 'peer-named-twice', message, details: { site, remote: link.remote, present: present.remote } });
    }
    peer.troubled(message);
    link.close('refused', `another site named ${site} is linked from ${present.remote}: start one of them with another name (--site)`);
    return true;
  }

  #closed(link: Link, peer: Peer | undefined, reason: CloseReason, explanation: string, byPeer: boolean): void {
    const site = peer?.site ?? link.remote;
    this.#outnumbered.delete(link);
    const news = this.#remotes.unlinked(link, reason, explanation);
    const level = reason === 'going-away' || reason === 'replaced' ? 'info' : 'warn';
    this.#tell({
      level: news ? level : 'debug',
      event: 'peer-lost',
      message: `the link to ${site} ended (${reason}): ${explanation}`,
      details: { site, remote: link.remote, reason, byPeer },
    });
    if (peer?.isLog === true) this.#logReaders.logLost(link);
    peer?.closed(link, reason, explanation, byPeer);
  }

  #failed(remote: string, error: Error, retryInMs: number): void {
    const news = this.#remotes.failed(remote, error.message);
    const message = `${remote} is not reached: ${error.message}`;
    this.#tell({ level: news ? 'warn' : 'debug', event: 'peer-unreachable', message, details: { remote, error } });
    const peer = this.#peers.get(this.#remotes.siteAt(remote) ?? '');
    if (peer !== undefined && peer.link === undefined) peer.troubled(error.message);
    if (retryInMs === Infinity) this.#events.emit('stopped', error);
  }

  #resynced(site: string, reason: Reason): void {
    this.#tell({ level: 'warn', event: 'peer-resync', message: `${site} gets a full copy: ${reason.text}`, details: { site, reason } });
    this.#events.emit('resync', { site, reason });
  }

  #tell(report: Report): void {
    this.#store.report(report);
  }
}

/** What the far ends are told when their links are closed. */
function farewell({ site, standing, fencedBy }: Store): string {
  if (standing === 'primary' || standing === 'handing-over') return 'the primary stops';
  // Nobody leads if the promotion fails: whoever looks at the far end's status has to find this site.
  const isPromised = standing === 'fenced' && fencedBy?.begun === false;
  return isPromised
    ? `${site} takes no writes: it promised epoch ${fencedBy.number} to another site`
    : `${site} leads no more, and feeds nobody`;
}
