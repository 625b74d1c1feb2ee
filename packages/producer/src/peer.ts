import { fencingIn, formatExactPosition } from '@evertree/core';
import type { CloseReason, ExactPosition, FarEnd, Hello, Link, Message, Reason, Store } from '@evertree/core';
import type { CommitTimes } from './commit-times.ts';
import { decide, decideReturn, refuseByHello } from './decision.ts';
import { fence } from './fencing.ts';
import { Forecast } from './forecast.ts';
import type { ProducerLimits } from './limits.ts';
import { LinkFeed } from './link-feed.ts';
import type { SnapshotRequest } from './link-feed.ts';
import { beginningOf, digestAt, firstTimeAfter, lagMs, lagRevisions, ownHistory } from './own-history.ts';
import type { PeerAction, PeerEvent } from './peer-event.ts';
import { PeerLinks } from './peer-links.ts';
import { Progress } from './progress.ts';
import { positionOf } from './status.ts';
import type { PeerStanding, PeerStatus } from './status.ts';

export interface PeerOptions {
  readonly store: Store;
  readonly limits: ProducerLimits;
  readonly times: CommitTimes;
  /** Whether it is a site or a log, as far as is known before its first link. */
  readonly farEnd: FarEnd;
  /** Its state or its last error changed. */
  changed(peer: Peer): void;
  /** It is about to get a full copy. */
  resync(peer: Peer, reason: Reason): void;
}

/** The link to a log, and the log's name. */
export interface LogLink {
  readonly name: string;
  readonly link: Link;
}

/**
 * One far end by its name: a secondary or a log, what is known of it, and how it is fed: over a link of its own, from a
 * log that it reads, or not at all. `Progress` decides; this carries out.
 */
export class Peer {
  readonly site: string;
  readonly #options: PeerOptions;
  readonly #progress: Progress;
  readonly #forecast = new Forecast();
  /** The site, or the log, that linked last. */
  #farEnd: FarEnd;
  /** Its address, or that of the log that it reads from. */
  #remote: string | null = null;
  /** While it has a link of its own, `#log` is undefined. */
  readonly #links = new PeerLinks();
  /**
   * The log that told of it last, if that was after its last link. Another object each time that the log tells of it,
   * or that it is lost, so that what was found out for an earlier word is dropped.
   */
  #log: LogLink | undefined;
  /** Whether what it acknowledges as durable survives its process. */
  #durable = false;
  #said: PeerStanding | null = null;
  /** As its last hello says: it can take history from elsewhere. */
  #catchesUp = false;
  /** A snapshot beside the frames was asked for before it was known where the log stands. */
  #wanted: SnapshotRequest | undefined;
  /** Resolves when a fence is recorded that the far end is to hear of; set from the action to its answer. */
  #fencing: Promise<void> | undefined;
  /** Where it has gone back to, said before the decision on its hello was there. */
  #earlyReturn: ExactPosition | undefined;
  /**
   * What a reader of a log said, while its position could not be looked up: nobody says it again on this link, so its
   * next acknowledgement has it looked up once more.
   */
  #undecided: { readonly log: LogLink; readonly hello: Hello } | undefined;

  /** @param durable where the journal's lease for it stands */
  constructor(site: string, durable: ExactPosition | undefined, options: PeerOptions) {
    this.site = site;
    this.#farEnd = options.farEnd;
    this.#options = options;
    this.#progress = new Progress(site, options.limits, durable, options.store.clock.now());
  }

  get link(): Link | undefined {
    return this.#links.link;
  }

  /** The log that it reads from. */
  get log(): LogLink | undefined {
    return this.#log;
  }

  /** It is no secondary but a log that secondaries read. */
  get isLog(): boolean {
    return this.#farEnd.kind === 'log';
  }

  /** It has a link, or was heard in a log by now and is not lost. */
  get isPresent(): boolean {
    return this.#links.feed !== undefined || (this.#log !== undefined && this.#progress.takesPart);
  }

  /** Takes a link whose far end has said hello; an earlier link is closed as replaced. */
  async adopt(link: Link, farEnd: FarEnd, hello: Hello): Promise<void> {
    const before = this.link;
    this.#release();
    before?.close('replaced', `${this.site} has made a newer link, from ${link.remote}`);
    this.#log = undefined;
    this.#fencing = undefined;
    this.#remote = link.remote;
    this.#hear(hello);
    this.#farEnd = farEnd;
    const { store, limits } = this.#options;
    const step = (event: PeerEvent): void => this.#stepOn(link, event);
    this.#links.begin(new LinkFeed({ store, link, limits, hasRoom: () => this.#progress.hasRoom, step }));
    this.#step({ type: 'linked', catchesUp: hello.catchesUp === true });
    await this.#decide(hello, farEnd, step);
    const early = this.#earlyReturn;
    if (link !== this.link || early === undefined) return;
    this.#earlyReturn = undefined;
    if (this.#progress.awaitsReturn) this.#returned(link, early);
  }

  /** A log told of it; `present`: it was heard there just now. `log`: an object of this call's own. */
  async heard(log: LogLink, hello: Hello, present: boolean): Promise<void> {
    this.#log = log;
    this.#remote = log.link.remote;
    this.#hear(hello);
    if (present) this.#seen();
    this.#step({ type: 'heard', position: hello.position, present });
    this.#undecided = undefined;
    if (present) await this.#decideReader(log, hello);
    if (this.#log === log && hello.position.revision < this.#options.times.start) await this.recall();
  }

  async #decideReader(log: LogLink, hello: Hello): Promise<void> {
    const isDecided = await this.#decide(hello, { kind: 'site' }, event => this.#log === log && this.#step(event));
    if (!isDecided && this.#log === log) this.#undecided = { log, hello };
  }

  #hear({ durable, catchesUp = false, standing, fencedBy, standby, advertised }: Hello): void {
    this.#durable = durable;
    this.#catchesUp = catchesUp;
    this.#said = { standing, fencedBy: fencedBy ?? null, standby, advertised: advertised ?? null };
  }

  /** It acknowledged in the log that it reads from. */
  acknowledged(applied: ExactPosition, durable: ExactPosition): void {
    const { store } = this.#options;
    const { epochs } = store;
    const { stable } = store.journal.log;
    this.#step({ type: 'acknowledged', applied, durable, ours: { epochs, last: stable } });
    this.#forecast.observe(store.clock.monotonic(), durable.revision, stable.revision);
    const undecided = this.#undecided;
    this.#undecided = undefined;
    if (undecided !== undefined) void this.#decideReader(undecided.log, undecided.hello);
    if (this.#links.feed === undefined) this.#seen();
    else this.#links.feed.notify();
  }

  /** It takes a snapshot that lies in the log that it reads from. */
  resyncing(reason: Reason): void {
    this.#seen();
    this.#step({ type: 'resyncing', reason });
    this.#options.resync(this, reason);
  }

  /** It stopped reading from its log, or the log is away. */
  readerLost(reason: CloseReason, explanation: string, byPeer: boolean): void {
    this.#forecast.reset();
    if (this.#log !== undefined) this.#log = { ...this.#log };
    this.#lost(reason, explanation, byPeer);
  }

  /** A message on its link, after the hello. */
  receive(link: Link, message: Message): void {
    if (link !== this.link) return;
    switch (message.type) {
      case 'acknowledge':
        if (message.site === this.site) return this.acknowledged(message.applied, message.durable);
        return link.close('protocol-violation', `${this.site} acknowledges in the name of ${message.site}`);
      case 'resend':
        if (this.#progress.awaitsReturn || this.#progress.offeredAt !== undefined) this.#returned(link, message.after);
        else if (this.#progress.state === 'probe') this.#earlyReturn = message.after;
        else this.#resend(message.after);
        return;
      case 'snapshot-wanted':
        return this.isLog ? this.#sendBeside(message) : this.#violated(link, message);
      default:
        return this.#violated(link, message);
    }
  }

  closed(link: Link, reason: CloseReason, explanation: string, byPeer: boolean): void {
    if (link !== this.link) return;
    this.#release();
    this.#lost(reason, explanation, byPeer);
  }

  /** Whoever is fenced by an epoch of this primary's history answered an earlier hello, which came late. */
  #lost(reason: CloseReason, explanation: string, byPeer: boolean): void {
    const epoch = byPeer && reason === 'fenced' ? fencingIn(explanation) : undefined;
    const isLate = epoch !== undefined && this.#options.store.epochs.some(({ number, id }) => number === epoch.number && id === epoch.id);
    this.#step({ type: 'lost', reason: isLate ? 'replaced' : reason, explanation, byPeer });
  }

  drained(link: Link): void {
    if (link === this.link) this.#links.feed?.notify();
  }

  /** Its address can't be reached, or another site bears its name. */
  troubled(explanation: string): void {
    this.#step({ type: 'unreachable', explanation });
  }

  /** An address that is taken to be its own, until a link tells. */
  expectAt(remote: string): void {
    this.#remote ??= remote;
  }

  /**
   * Looks up the commit time of the oldest change set that it lacks: for one that was away when this process began, its
   * lag counts from there.
   */
  async recall(): Promise<void> {
    const { store } = this.#options;
    const { durable } = this.#progress;
    if (durable === undefined || lagRevisions(store, this.#progress) === null) return;
    try {
      const time = await firstTimeAfter(store, durable);
      if (time !== undefined && this.#links.feed === undefined) this.#step({ type: 'recalled', time });
    } catch (error) {
      this.#unreadable('warn', `how far ${this.site} is behind can't be looked up`, error);
    }
  }

  /** The journal has made progress; `grown`: there is more to send. */
  progressed(grown: boolean): void {
    if (grown) this.#progress.step({ type: 'grown' }, this.#options.store.clock.now());
    this.#links.feed?.notify();
  }

  /** Ends the loops; resolves when they hold nothing any more. */
  async close(): Promise<void> {
    this.#release();
    await this.#links.ended;
  }

  status(): PeerStatus {
    const { state, since, applied, durable, lastError, resyncs } = this.#progress;
    const lag = lagRevisions(this.#options.store, this.#progress);
    return {
      site: this.site,
      remote: this.#remote,
      relay: this.isLog,
      through: this.#log?.name ?? null,
      state,
      position: positionOf(durable),
      applied: positionOf(applied),
      lagRevisions: lag,
      lagMs: lagMs(this.#options, this.#progress, lag, this.#log !== undefined),
      sentBytes: this.#links.sentBytes,
      since,
      lastSeen: this.#links.lastSeen,
      caughtUpInMs: state === 'replicate' && lag !== null ? this.#forecast.caughtUpInMs(lag) : null,
      lastError,
      said: this.#said,
      resyncs,
    };
  }

  /**
   * @param step ignores the decision when the peer has another link, or was heard again, by then
   * @returns false when its position can't be looked up
   */
  async #decide(hello: Hello, farEnd: FarEnd, step: (event: PeerEvent) => void): Promise<boolean> {
    const { store } = this.#options;
    const refused = refuseByHello(ownHistory(store), hello, farEnd);
    // A fence can't wait for the look-up: the far end may have closed its link by then.
    const isFence = refused?.fence !== undefined;
    try {
      const found = isFence ? undefined : await digestAt(store, hello.position);
      const decision = isFence ? refused : decide(ownHistory(store), hello, farEnd, found);
      step({ type: 'decided', decision, position: hello.position });
      return true;
    } catch (error) {
      const message = this.#unreadable('error', `the position of ${this.site} can't be looked up`, error);
      this.link?.close('going-away', `this primary can't read its journal: ${message}`);
      return false;
    }
  }

  #resend(after: ExactPosition): void {
    const { epochs, journal } = this.#options.store;
    this.#step({ type: 'resend', after, ours: { epochs, last: journal.log.stable } });
  }

  /**
   * Its history had parted from ours, and it has gone back to this position; or it has taken history from elsewhere up
   * to there, and is asked for that again only if it got further.
   */
  #returned(link: Link, after: ExactPosition): void {
    const { store } = this.#options;
    const { offeredAt } = this.#progress;
    const mayAsk = this.#catchesUp && (offeredAt === undefined || after.revision > offeredAt.revision);
    const decision = decideReturn(ownHistory(store), this.site, after, mayAsk);
    if (decision !== undefined) return this.#step({ type: 'decided', decision, position: after });
    const says = offeredAt === undefined ? 'went back to' : 'says that it has reached';
    link.close('protocol-violation', `${this.site} ${says} ${formatExactPosition(after)}, which is not in this primary's history`);
  }

  /** Sends a snapshot for secondaries that will come to the log. The log's own position does not change by it. */
  #sendBeside(request: SnapshotRequest): void {
    const { state } = this.#progress;
    this.#wanted = state === 'probe' ? request : undefined;
    if (state !== 'replicate' || this.#links.feed?.sendBeside(request) !== true) return;
    const message = `${this.site} gets a snapshot beside the frames: ${request.reason.text}`;
    this.#options.store.report({ level: 'info', event: 'log-snapshot', message });
  }

  #violated(link: Link, { type }: Message): void {
    link.close('protocol-violation', `a secondary sends no ${type} after its hello`);
  }

  #unreadable(level: 'warn' | 'error', what: string, error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.#options.store.report({ level, event: 'peer-read-failed', message: `${what}: ${message}`, details: { site: this.site, error } });
    return message;
  }

  #seen(): void {
    this.#links.seen(this.#options.store.clock.now());
  }

  /** Gives up the present link, without closing it. */
  #release(): void {
    this.#earlyReturn = undefined;
    if (!this.#links.release()) return;
    this.#wanted = undefined;
    this.#forecast.reset();
  }

  #stepOn(link: Link, event: PeerEvent): void {
    if (link === this.link) this.#step(event);
  }

  #step(event: PeerEvent): void {
    const { state, lastError } = this.#progress;
    for (const action of this.#progress.step(event, this.#options.store.clock.now())) this.#carryOut(action);
    if (state !== this.#progress.state || lastError !== this.#progress.lastError) this.#options.changed(this);
    if (this.#wanted !== undefined && state !== this.#progress.state) this.#sendBeside(this.#wanted);
  }

  #carryOut(action: PeerAction): void {
    switch (action.type) {
      case 'read':
        return this.#links.feed?.sendFrames(action.after);
      case 'tell-beginning':
        return this.link?.send(beginningOf(this.#options.store, action.base, action.reason));
      case 'send-snapshot':
        this.#links.feed?.sendSnapshot(action.reason);
        return this.#options.resync(this, action.reason);
      case 'keep':
        return this.#keep(action.position);
      case 'record':
        this.#keep(action.durable);
        // A frame in a log is not yet a copy at a secondary.
        if (this.#durable && !this.isLog) this.#options.store.acknowledge(this.site, action.durable);
        return;
      case 'fence':
        this.#fencing = fence(this.#options.store, action.fence);
        return;
      case 'close':
        return this.#close(action.reason, action.explanation);
    }
  }

  /** A fenced primary answers only when the fence is recorded. */
  #close(reason: CloseReason, explanation: string): void {
    const { link } = this;
    const fencing = this.#fencing;
    this.#fencing = undefined;
    if (fencing === undefined) link?.close(reason, explanation);
    else void fencing.then(() => link?.close(reason, explanation));
  }

  #keep(position: ExactPosition): void {
    if (this.#durable) this.#options.store.journal.leases.hold('peer', this.site, position);
  }
}
