import { EvertreeError, SITE, covers, formatPosition } from '@evertree/core';
import type { CloseReason, ExactPosition, Hello, Reason, Store } from '@evertree/core';
import type { CommitTimes } from './commit-times.ts';
import { decide } from './decision.ts';
import { Forecast } from './forecast.ts';
import { digestAt, fence, firstTimeAfter, historyOf } from './history.ts';
import { LASTING, stateAfterRefusal } from './progress.ts';
import type { PeerState, PeerStatus } from './status.ts';

export interface ReaderOptions {
  readonly store: Store;
  readonly times: CommitTimes;
  /** The log's name, and its address. */
  readonly through: { readonly site: string; readonly remote: string };
  changed(reader: Reader): void;
}

/**
 * A secondary that reads from a log for itself: what it tells of itself there. Nothing is sent to it, so there is nothing to
 * decide but whether its history is ours.
 */
export class Reader {
  readonly site: string;
  readonly #options: ReaderOptions;
  readonly #forecast = new Forecast();
  #state: PeerState = 'offline';
  #since: number;
  #applied: ExactPosition;
  #durable: ExactPosition;
  /** Whether what it acknowledges as durable survives its process. */
  #isDurable: boolean;
  #lastSeen: number | null = null;
  #lastError: string | null = null;
  #resyncs = 0;
  #lastReason: string | null = null;
  /** It takes a snapshot, whatever is found out of its hello meanwhile. */
  #isResyncing = false;
  /** Commit time of what it lacked when it was first heard, if that was before this process. */
  #recalled: number | undefined;

  constructor(hello: Hello, options: ReaderOptions) {
    this.site = hello.site;
    this.#options = options;
    this.#since = options.store.clock.now();
    this.#applied = hello.position;
    this.#durable = hello.position;
    this.#isDurable = hello.durable;
  }

  /** Heard by now, and not only known from before. */
  get present(): boolean {
    return this.#state !== 'offline' && !LASTING.has(this.#state);
  }

  /** It is there, or was; the hello tells where it stands. */
  async heard(hello: Hello, present: boolean): Promise<void> {
    this.#applied = hello.position;
    this.#durable = hello.position;
    this.#isDurable = hello.durable;
    this.#isResyncing = false;
    this.#recalled = undefined;
    if (!present) return this.#recall();
    this.#seen();
    if (!LASTING.has(this.#state)) this.#become('probe');
    const { store } = this.#options;
    try {
      const found = await digestAt(store, hello.position);
      const decision = decide(historyOf(store), hello, SITE, found);
      if (decision.kind === 'refuse') {
        this.#become(decision.state, decision.error.message);
        if (decision.fence) fence(store, decision.error);
        return;
      }
      this.#become(this.#isResyncing ? 'snapshot' : 'replicate', null);
      this.#record();
      await this.#recall();
    } catch (error) {
      this.#unreadable(error);
    }
  }

  acknowledged(applied: ExactPosition, durable: ExactPosition): void {
    this.#seen();
    const { store } = this.#options;
    const { stable } = store.journal.log;
    const isOurs = covers({ epochs: store.epochs, last: stable }, durable);
    if (applied.revision > stable.revision || durable.revision > applied.revision || !isOurs) {
      const told = `it acknowledges ${formatPosition(applied)} as applied and ${formatPosition(durable)} as durable`;
      this.#become('diverged', `${told}, and this primary stands at ${formatPosition(stable)}: their histories part`);
      return;
    }
    const isNews = durable.revision > this.#durable.revision;
    this.#applied = applied;
    this.#durable = durable;
    if (this.#state === 'offline') this.#become('replicate', null);
    this.#forecast.observe(store.clock.monotonic(), durable.revision, stable.revision);
    if (isNews && !LASTING.has(this.#state)) this.#record();
  }

  /** It takes a snapshot that lies beside the frames. */
  resync(reason: Reason): void {
    this.#seen();
    this.#isResyncing = true;
    this.#resyncs += 1;
    this.#lastReason = reason.text;
    this.#become('snapshot');
  }

  /** Its link ended, or it was not heard for too long. */
  lost(reason: CloseReason, explanation: string): void {
    this.#forecast.reset();
    const state = stateAfterRefusal(reason);
    if (state !== 'offline' || !LASTING.has(this.#state)) this.#become(state, `${reason}: ${explanation}`);
    if (reason !== 'fenced') return;
    fence(this.#options.store, new EvertreeError('FENCED', `a secondary ended its link as fenced: ${explanation}`));
  }

  status(): PeerStatus {
    const { store, through } = this.#options;
    const lagRevisions = Math.max(0, store.stable.position.revision - this.#durable.revision);
    return {
      site: this.site,
      remote: through.remote,
      relay: false,
      through: through.site,
      state: this.#state,
      position: { epoch: this.#durable.epoch, revision: this.#durable.revision },
      applied: { epoch: this.#applied.epoch, revision: this.#applied.revision },
      lagRevisions,
      lagMs: this.#lagMs(lagRevisions),
      sentBytes: 0,
      since: this.#since,
      lastSeen: this.#lastSeen,
      caughtUpInMs: this.#state === 'replicate' ? this.#forecast.caughtUpInMs(lagRevisions) : null,
      lastError: this.#lastError,
      resyncs: { count: this.#resyncs, lastReason: this.#lastReason },
    };
  }

  #lagMs(lagRevisions: number): number | null {
    if (lagRevisions === 0) return 0;
    const oldest = this.#options.times.after(this.#durable.revision) ?? this.#recalled;
    return oldest === undefined ? null : Math.max(0, this.#options.store.clock.now() - oldest);
  }

  async #recall(): Promise<void> {
    const { store, times } = this.#options;
    if (this.#durable.revision >= times.start) return;
    try {
      this.#recalled = await firstTimeAfter(store, this.#durable);
    } catch (error) {
      this.#unreadable(error);
    }
  }

  #record(): void {
    if (!this.#isDurable) return;
    const { store } = this.#options;
    store.journal.leases.hold('peer', this.site, this.#durable);
    store.acknowledge(this.site, this.#durable);
  }

  #seen(): void {
    this.#lastSeen = this.#options.store.clock.now();
  }

  #become(state: PeerState, lastError = this.#lastError): void {
    if (state === this.#state && lastError === this.#lastError) return;
    if (state !== this.#state) this.#since = this.#options.store.clock.now();
    this.#state = state;
    this.#lastError = lastError;
    this.#options.changed(this);
  }

  #unreadable(error: unknown): void {
    const message = `how far ${this.site} is behind can't be looked up: ${error instanceof Error ? error.message : String(error)}`;
    this.#options.store.report({ level: 'warn', event: 'peer-read-failed', message, details: { site: this.site, error } });
  }
}
