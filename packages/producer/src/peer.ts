import type { CloseReason, ExactPosition, FarEnd, Hello, Link, Message, Reason, Store } from '@evertree/core';
import { decide } from './decision.ts';
import { Forecast } from './forecast.ts';
import { digestAt, fence, firstTimeAfter, historyOf } from './history.ts';
import type { ProducerLimits } from './limits.ts';
import type { PeerAction, PeerEvent } from './peer-event.ts';
import { Progress } from './progress.ts';
import { Sender } from './sender.ts';
import type { PeerStatus } from './status.ts';

type SnapshotRequest = Extract<Message, { type: 'snapshot-wanted' }>;

export interface PeerOptions {
  readonly store: Store;
  readonly limits: ProducerLimits;
  readonly farEnd: FarEnd;
  /** State, or what a status tells beside it, changed. */
  changed(peer: Peer): void;
  /** It is about to get a full copy. */
  resync(peer: Peer, reason: Reason): void;
}

/** One secondary, by its site's name: what is known of it, and the link to it while there is one. */
export class Peer {
  readonly site: string;
  readonly #options: PeerOptions;
  readonly #progress: Progress;
  readonly #forecast = new Forecast();
  #remote: string | null = null;
  #link: Link | undefined;
  #sender: Sender | undefined;
  /** Resolves when the senders of earlier links have ended. */
  #ended: Promise<void> = Promise.resolve();
  /** Whether what it acknowledges as durable survives its process. */
  #durable = false;
  /** The site, or the log, that linked last. */
  #farEnd: FarEnd;
  /** Sends a snapshot beside the frames, where a log asks for one. */
  #aside: Sender | undefined;
  /** A snapshot beside the frames was asked for before it was known where the log stands. */
  #wanted: SnapshotRequest | undefined;
  #sentBefore = 0;
  #lastSeen: number | null = null;

  /** @param durable where the journal's list of peers has it */
  constructor(site: string, durable: ExactPosition | undefined, options: PeerOptions) {
    this.site = site;
    this.#farEnd = options.farEnd;
    this.#options = options;
    this.#progress = new Progress(options.limits, durable, options.store.clock.now());
  }

  get linked(): boolean {
    return this.#link !== undefined;
  }

  /** It is no secondary but a log that secondaries read. */
  get isLog(): boolean {
    return this.#farEnd.kind === 'log';
  }

  get remote(): string | null {
    return this.#remote;
  }

  /** Goes on over a link whose far end has said hello; the link before, if there is one, ends. */
  async adopt(link: Link, farEnd: FarEnd, hello: Hello): Promise<void> {
    const before = this.#link;
    this.#release();
    before?.close('replaced', `${this.site} has made a newer link, from ${link.remote}`);
    this.#link = link;
    this.#remote = link.remote;
    this.#durable = hello.durable;
    this.#farEnd = farEnd;
    const { store, limits } = this.#options;
    this.#sender = new Sender({ store, link, limits, hasRoom: () => this.#progress.hasRoom, step: event => this.#stepOn(link, event) });
    this.#step({ type: 'linked' });
    try {
      const found = await digestAt(store, hello.position);
      this.#stepOn(link, { type: 'decided', decision: decide(historyOf(store), hello, farEnd, found), position: hello.position });
    } catch (error) {
      const message = this.#unreadable('error', `where ${this.site} stands can't be looked up`, error);
      link.close('going-away', `this primary can't read its journal: ${message}`);
    }
  }

  /** A message after the hello. */
  receive(link: Link, message: Message): void {
    if (link !== this.#link) return;
    switch (message.type) {
      case 'acknowledge':
        return this.#acknowledged(link, message);
      case 'resend':
        return this.#stepOn(link, { type: 'resend', after: message.after });
      case 'snapshot-wanted':
        return this.isLog ? this.#sendAside(link, message) : this.#violated(link, message);
      default:
        return this.#violated(link, message);
    }
  }

  closed(link: Link, reason: CloseReason, explanation: string, byPeer: boolean): void {
    if (link !== this.#link) return;
    this.#release();
    this.#step({ type: 'lost', reason, explanation, byPeer });
  }

  /** The address where it was is not reached. */
  unreachable(explanation: string): void {
    if (this.linked) return;
    this.#progress.unreachable(explanation);
    this.#options.changed(this);
  }

  /** An address that is taken to be its own, until a link tells. */
  expectAt(remote: string): void {
    this.#remote ??= remote;
  }

  /** Finds out how old the oldest commit is that it missed while this primary was down, too: its lag counts from there. */
  async recall(): Promise<void> {
    const { store } = this.#options;
    const { durable } = this.#progress;
    if (durable === undefined) return;
    try {
      const time = await firstTimeAfter(store, durable);
      if (time !== undefined && !this.linked) this.#progress.step({ type: 'grown' }, time);
    } catch (error) {
      this.#unreadable('warn', `how far ${this.site} is behind can't be looked up`, error);
    }
  }

  /** The journal has made progress; `grown`: there is more to send. */
  progressed(grown: boolean): void {
    if (grown) this.#progress.step({ type: 'grown' }, this.#options.store.clock.now());
    this.#notify();
  }

  drained(link: Link): void {
    if (link === this.#link) this.#notify();
  }

  /** Ends the loop; resolves when it holds nothing any more. */
  async close(): Promise<void> {
    this.#release();
    await this.#ended;
  }

  status(): PeerStatus {
    const { store } = this.#options;
    const { state, since, applied, durable, lastError, resyncs } = this.#progress;
    const lagRevisions = durable === undefined ? null : Math.max(0, store.stable.position.revision - durable.revision);
    return {
      site: this.site,
      remote: this.#remote,
      relay: this.isLog,
      through: null,
      state,
      position: durable === undefined ? null : { epoch: durable.epoch, revision: durable.revision },
      applied: applied === undefined ? null : { epoch: applied.epoch, revision: applied.revision },
      lagRevisions,
      lagMs: this.#lagMs(durable),
      sentBytes: this.#sentBefore + (this.#link?.sentBytes ?? 0),
      since,
      lastSeen: this.#link?.lastSeen ?? this.#lastSeen,
      caughtUpInMs: state === 'replicate' && lagRevisions !== null ? this.#forecast.caughtUpInMs(lagRevisions) : null,
      lastError,
      resyncs,
    };
  }

  #lagMs(durable: ExactPosition | undefined): number | null {
    const { store } = this.#options;
    if (durable === undefined) return null;
    if (durable.revision >= store.stable.position.revision) return 0;
    const oldest = this.#progress.oldestTime;
    return oldest === undefined ? null : Math.max(0, store.clock.now() - oldest);
  }

  #acknowledged(link: Link, message: Extract<Message, { type: 'acknowledge' }>): void {
    if (message.site !== this.site) {
      link.close('protocol-violation', `${this.site} acknowledges in the name of ${message.site}`);
      return;
    }
    const { store } = this.#options;
    const { applied, durable } = message;
    const { stable } = store.journal.log;
    this.#stepOn(link, { type: 'acknowledged', applied, durable, stable });
    this.#forecast.observe(store.clock.monotonic(), durable.revision, stable.revision);
    this.#notify();
  }

  #notify(): void {
    this.#sender?.notify();
    this.#aside?.notify();
  }

  /** For secondaries that will come: where the log itself stands does not change by it. */
  #sendAside(link: Link, request: SnapshotRequest): void {
    const { id, reason } = request;
    const { store, limits } = this.#options;
    this.#wanted = this.#progress.state === 'probe' ? request : undefined;
    if (this.#progress.state !== 'replicate' || this.#aside?.busy === true) return;
    this.#aside ??= new Sender({ store, link, limits, hasRoom: () => true, step: () => undefined });
    this.#aside.sendSnapshot(reason, id);
    store.report({ level: 'info', event: 'relay-snapshot', message: `${this.site} gets a snapshot beside the frames: ${reason.text}` });
  }

  #violated(link: Link, { type }: Message): void {
    link.close('protocol-violation', `a secondary sends no ${type} after its hello`);
  }

  #unreadable(level: 'warn' | 'error', what: string, error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.#options.store.report({ level, event: 'peer-read-failed', message: `${what}: ${message}`, details: { site: this.site, error } });
    return message;
  }

  /** Gives up the present link, without closing it. */
  #release(): void {
    if (this.#link === undefined) return;
    this.#sentBefore += this.#link.sentBytes;
    this.#lastSeen = this.#link.lastSeen;
    this.#link = undefined;
    for (const sender of [this.#sender, this.#aside]) {
      sender?.stop();
      this.#ended = this.#ended.then(() => sender?.ended);
    }
    this.#sender = undefined;
    this.#aside = undefined;
    this.#wanted = undefined;
    this.#forecast.reset();
  }

  #stepOn(link: Link, event: PeerEvent): void {
    if (link === this.#link) this.#step(event);
  }

  #step(event: PeerEvent): void {
    const { state, lastError } = this.#progress;
    for (const action of this.#progress.step(event, this.#options.store.clock.now())) this.#carryOut(action);
    if (state !== this.#progress.state || lastError !== this.#progress.lastError) this.#options.changed(this);
    if (this.#wanted !== undefined && this.#link !== undefined && state !== this.#progress.state) this.#sendAside(this.#link, this.#wanted);
  }

  #carryOut(action: PeerAction): void {
    const { store } = this.#options;
    switch (action.type) {
      case 'read':
        return this.#sender?.sendFrames(action.after);
      case 'send-snapshot':
        this.#sender?.sendSnapshot(action.reason);
        return this.#options.resync(this, action.reason);
      case 'keep':
        if (this.#durable) store.journal.leases.hold('peer', this.site, action.position);
        return;
      case 'record':
        if (!this.#durable) return;
        store.journal.leases.hold('peer', this.site, action.durable);
        // What a log holds, no secondary holds yet.
        if (!this.isLog) store.acknowledge(this.site, action.durable);
        return;
      case 'fence':
        return fence(store, action.error);
      case 'close':
        this.#link?.close(action.reason, action.explanation);
    }
  }
}
