import { Emitter, EvertreeError, SITE, samePosition } from '@evertree/core';
import type { CloseReason, ExactPosition, FarEnd, Hello, Link, Message, Reason, Report, Store, Transport } from '@evertree/core';
import { CommitTimes } from './commit-times.ts';
import { refuseAtTheDoor } from './decision.ts';
import { helloOf, historyOf } from './history.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { ProducerLimits } from './limits.ts';
import { Peer } from './peer.ts';
import { Readers } from './readers.ts';
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
}

export interface ProducerEvents {
  /** A peer's state, or its last error, changed; or it is new. */
  peer(status: PeerStatus): void;
  /** A peer is about to get a full copy, for this reason. */
  resync(resync: { readonly site: string; readonly reason: Reason }): void;
  /** A transport failed and will not try again. */
  stopped(error: Error): void;
  /** It was closed: nobody is fed any more. */
  closed(): void;
}

/**
 * Feeds the secondaries of a primary from its journal, each by itself. The journal is the only queue: a peer is a reader of it and a
 * few numbers, so one that is slow, hangs or is dead delays neither commits nor the others.
 */
export class Producer implements AsyncDisposable {
  readonly #store: Store;
  readonly #transports: readonly Transport[];
  readonly #limits: ProducerLimits;
  readonly #program: string;
  readonly #peers = new Map<string, Peer>();
  /** Secondaries that read from a log, beside those with a link of their own. */
  readonly #readers: Readers;
  readonly #times: CommitTimes;
  readonly #remotes: Remotes;
  readonly #events: Emitter<ProducerEvents>;
  #stable: ExactPosition;
  #progress: Disposable | undefined;

  constructor(options: ProducerOptions) {
    this.#store = options.store;
    this.#transports = options.transports;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#program = options.program ?? 'evertree';
    this.#stable = options.store.journal.log.stable;
    const configured = options.transports.flatMap(transport => transport.remotes);
    this.#remotes = new Remotes(options.store.clock, configured);
    this.#events = new Emitter(options.store.report);
    this.#times = new CommitTimes(this.#stable.revision);
    this.#readers = new Readers({
      store: options.store,
      times: this.#times,
      isLinked: site => this.#peers.get(site)?.linked === true,
      met: site => this.#met(site),
      changed: status => this.#events.emit('peer', status),
      resync: (site, reason) => this.#resynced(site, reason),
    });
  }

  /**
   * Resolves when every transport listens or dials.
   * @throws EvertreeError WRONG_ROLE at a secondary; what a transport throws that can never listen
   */
  async open(): Promise<void> {
    const { journal, role, site } = this.#store;
    if (role !== 'primary') {
      throw new EvertreeError('WRONG_ROLE', `the site ${site} is a secondary: it has a consumer, and no producer`, { site, role });
    }
    const logs = new Map(this.#transports.flatMap(({ farEnd }) => (farEnd.kind === 'log' ? [[farEnd.name, farEnd] as const] : [])));
    for (const [name, { position }] of journal.leases.of('peer')) await this.#add(name, position, logs.get(name)).recall();
    this.#expectLogs();
    const expected = this.#remotes.expect([...this.#peers.keys()].filter(name => !logs.has(name)));
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
    return [...Array.from(this.#peers.values(), peer => peer.status()), ...this.#readers.statuses(), ...this.#remotes.strangers()];
  }

  on<Name extends keyof ProducerEvents>(name: Name, listener: ProducerEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * Takes a lost secondary off the list: retention keeps nothing for it any more.
   * @returns false when it is not listed, or is linked: then it would be listed again at once
   */
  forget(site: string): boolean {
    const peer = this.#peers.get(site);
    if (peer?.linked === true || this.#readers.isPresent(site)) return false;
    const isListed = peer !== undefined || this.#readers.has(site);
    const isKnown = this.#store.journal.leases.release('peer', site) || isListed;
    this.#peers.delete(site);
    this.#remotes.forget(site);
    if (isKnown) this.#readers.forget(site);
    return isKnown;
  }

  /** Closes every link as `going-away`. Idempotent. */
  async close(): Promise<void> {
    this.#progress?.[Symbol.dispose]();
    await Promise.all(this.#transports.map(transport => transport.close()));
    await Promise.all(Array.from(this.#peers.values(), peer => peer.close()));
    this.#events.emit('closed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A log is listed before its first link, so that an absent one is seen to be away. */
  #expectLogs(): void {
    for (const { farEnd, remotes } of this.#transports) {
      if (farEnd.kind === 'site') continue;
      const peer = this.#peers.get(farEnd.name) ?? this.#add(farEnd.name, undefined, farEnd);
      for (const address of remotes) {
        this.#remotes.assign(address, farEnd.name);
        peer.expectAt(address);
      }
    }
  }

  #add(site: string, durable: ExactPosition | undefined, farEnd: FarEnd = SITE): Peer {
    const peer = new Peer(site, durable, {
      store: this.#store,
      limits: this.#limits,
      farEnd,
      changed: changed => this.#events.emit('peer', changed.status()),
      resync: (resynced, reason) => this.#resynced(resynced.site, reason),
    });
    this.#peers.set(site, peer);
    return peer;
  }

  #progressed(): void {
    const { stable } = this.#store.journal.log;
    const grown = !samePosition(stable, this.#stable);
    this.#stable = stable;
    if (grown) this.#times.grown(stable.revision, this.#store.clock.now());
    for (const peer of this.#peers.values()) peer.progressed(grown);
  }

  #introduce(link: Link, farEnd: FarEnd): void {
    const { clock } = this.#store;
    let peer: Peer | undefined;
    this.#remotes.linked(link);
    const patience = clock.after(this.#limits.helloMs, () => {
      link.close('silent', `no hello came within ${this.#limits.helloMs} ms`);
    });
    link.attach({
      message: message => {
        if (peer !== undefined) return this.#receive(link, peer, message);
        patience[Symbol.dispose]();
        peer = this.#greet(link, farEnd, message);
      },
      drained: () => peer?.drained(link),
      closed: (reason, explanation, byPeer) => {
        patience[Symbol.dispose]();
        this.#closed(link, peer, reason, explanation, byPeer);
      },
    });
    link.send({ type: 'hello', hello: helloOf(this.#store, this.#program) });
  }

  /** A site without a link of its own reads from a log. */
  #met(site: string): void {
    if (this.#peers.delete(site)) this.#remotes.forget(site);
  }

  #receive(link: Link, peer: Peer, message: Message): void {
    if (message.type === 'acknowledge') this.#remotes.accepted(link);
    if (peer.isLog && this.#readers.take({ site: peer.site, link }, message)) return;
    peer.receive(link, message);
  }

  /** @returns the peer that the link belongs to from now on; undefined when it is turned away */
  #greet(link: Link, farEnd: FarEnd, message: Message): Peer | undefined {
    if (message.type !== 'hello') {
      link.close('protocol-violation', `the first message is a hello, and not ${message.type}`);
      return undefined;
    }
    const { hello } = message;
    const known = this.#peers.get(hello.site);
    if (known?.linked === true && this.#isImpostor(link, farEnd, hello)) return undefined;
    const peer = known ?? this.#add(hello.site, undefined, farEnd);
    this.#readers.drop(hello.site);
    this.#remotes.identified(link, hello.site);
    this.#tell({
      level: this.#remotes.isSuspect(link) ? 'debug' : 'info',
      event: 'peer-linked',
      message: `${hello.site} (${hello.program}) is linked from ${link.remote}`,
      details: { site: hello.site, remote: link.remote, position: hello.position },
    });
    void peer.adopt(link, farEnd, hello);
    return peer;
  }

  /** Who bears a linked secondary's name but can't be it does not take its place. */
  #isImpostor(link: Link, farEnd: FarEnd, hello: Hello): boolean {
    const refusal = refuseAtTheDoor(historyOf(this.#store), hello, farEnd);
    if (refusal === undefined) return false;
    this.#tell({ level: 'warn', event: 'peer-refused', message: refusal.error.message, details: { remote: link.remote } });
    link.close(refusal.reason, refusal.error.message);
    return true;
  }

  #closed(link: Link, peer: Peer | undefined, reason: CloseReason, explanation: string, byPeer: boolean): void {
    const site = peer?.site ?? link.remote;
    const news = this.#remotes.unlinked(link, reason, explanation);
    const level = reason === 'going-away' || reason === 'replaced' ? 'info' : 'warn';
    this.#tell({
      level: news ? level : 'debug',
      event: 'peer-lost',
      message: `the link to ${site} ended (${reason}): ${explanation}`,
      details: { site, remote: link.remote, reason, byPeer },
    });
    if (peer?.isLog === true) this.#readers.lost(link);
    peer?.closed(link, reason, explanation, byPeer);
  }

  #failed(remote: string, error: Error, retryInMs: number): void {
    const news = this.#remotes.failed(remote, error.message);
    const message = `${remote} is not reached: ${error.message}`;
    this.#tell({ level: news ? 'warn' : 'debug', event: 'peer-unreachable', message, details: { remote, error } });
    const site = this.#remotes.siteAt(remote);
    if (site !== undefined) this.#peers.get(site)?.unreachable(error.message);
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
