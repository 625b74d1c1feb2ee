import { Emitter, EvertreeError, explainFence, greet, helloOf, highestEpoch, stepDown } from '@evertree/core';
import type { CloseReason, Hello, Link, LinkEvents, Message, Reason, Report, RoleMessage, Store, Transport } from '@evertree/core';
import { admit, assertMayFollow, explain } from './admission.ts';
import type { Accepted, Admission, AskedSite } from './admission.ts';
import { EarlierIntake } from './earlier-intake.ts';
import { FrameIntake, keepFrame } from './frame-intake.ts';
import { HeardHistory, primaryAt, primaryNow } from './heard-history.ts';
import { resumeHint } from './history.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { ConsumerLimits } from './limits.ts';
import type { ConsumerEvents, ConsumerOptions } from './options.ts';
import { PrimarySession } from './primary-session.ts';
import { PromiseLinks } from './promise-links.ts';
import { describe } from './return.ts';
import type { ConsumerState, ConsumerStatus } from './status.ts';

/** What this site told on a link, and when that was sent: nothing may be sent before. */
interface OwnHello {
  readonly ours: Hello;
  readonly said: Promise<void>;
}

/**
 * Feeds a secondary's store from its primary: one link at a time, and it judges each frame before it is applied. At a
 * primary it answers at the same port, and takes nothing.
 */
export class Consumer implements AsyncDisposable {
  readonly #store: Store;
  readonly #transport: Transport;
  readonly #limits: ConsumerLimits;
  readonly #options: ConsumerOptions;
  readonly #frames: FrameIntake;
  readonly #earlier: EarlierIntake | undefined;
  readonly #events: Emitter<ConsumerEvents>;
  /** The link of the primary that feeds this site; undefined while there is none. */
  #session: PrimarySession | undefined;
  readonly #promises: PromiseLinks;
  /** Resolves when all earlier sessions have ended. */
  #ended: Promise<void> = Promise.resolve();
  #quarantine: EvertreeError | undefined;
  #primary: ConsumerStatus['primary'] = null;
  #lastContact: number | null = null;
  #heard: HeardHistory | undefined;
  #lastError: string | null = null;
  /** Why a far end was refused last: the same refusal at its next attempt is reported at level debug. */
  #refusal: string | undefined;
  /** The transport failed since the last link: further failures are reported at level debug. */
  #failing = false;
  #state: ConsumerState = 'listening';
  #since: number;
  #resyncs = 0;
  #lastReason: string | null = null;
  #progress: Disposable | undefined;
  #closed = false;
  /** That it was closed was told. */
  #isOver = false;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#transport = options.transport;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#frames = new FrameIntake(options.store, options.transport.farEnd, this.#limits);
    this.#events = new Emitter(options.store.report);
    const { store, earlierFrames } = options;
    this.#earlier = earlierFrames && new EarlierIntake({ store, earlierFrames }, this.#frames, this.#limits, this.#events);
    this.#promises = new PromiseLinks(options.store, (link, site, message) => this.#hearRole(link, site, message));
    this.#since = options.store.clock.now();
  }

  /**
   * Resolves when the transport listens.
   * @throws EvertreeError WRONG_ROLE at a primary that has commits of its own and no `standby`; what the transport
   *   throws when it never can listen
   */
  async open(): Promise<void> {
    const { journal } = this.#store;
    if (this.#options.standby !== true) {
      assertMayFollow(this.#store);
      await this.#store.follow();
    }
    this.#progress = journal.log.onProgress(() => this.#session?.progressed());
    try {
      await this.#transport.open({
        link: link => this.#introduce(link),
        failed: (remote, error, retryInMs) => this.#failed(remote, error, retryInMs),
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The history of the primary that fed this site last. */
  get heard(): HeardHistory | undefined {
    return this.#heard;
  }

  get state(): ConsumerStatus {
    return {
      state: this.#state,
      since: this.#since,
      primary: this.#primary,
      lastContact: this.#session?.link.lastSeen ?? this.#lastContact,
      lag: this.#lag(),
      lastError: this.#lastError,
      resyncs: { count: this.#resyncs, lastReason: this.#lastReason },
      catchUps: this.#earlier?.status ?? null,
    };
  }

  on<Name extends keyof ConsumerEvents>(name: Name, listener: ConsumerEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * Says something about who leads to the primary that feeds this site, or to one that asked it for a promise.
   * @returns false when `site` is linked as neither
   */
  sendRole(site: string, message: RoleMessage): boolean {
    const session = this.#session;
    const link = session?.hello.site === site ? session.link : this.#promises.linkOf(site);
    link?.send({ type: 'role', from: this.#store.site, to: site, message });
    return link !== undefined;
  }

  /** Closes the link as `going-away`. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#progress?.[Symbol.dispose]();
    await this.#transport.close();
    this.#release();
    await this.#ended;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.emit('closed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #introduce(link: Link): void {
    const { program = 'evertree', standby = false, advertised } = this.#options;
    const catchesUp = this.#earlier !== undefined;
    const ours = helloOf(this.#store, { program, standby, advertised: advertised?.(), raises: undefined, catchesUp });
    const said = Promise.withResolvers<void>();
    greet(link, {
      store: this.#store,
      helloMs: this.#limits.helloMs,
      meet: hello => this.#meet(link, hello, ours, said.promise),
      left: () => undefined,
    });
    void this.#sayHello(link, ours).then(said.resolve);
  }

  /** Never rejects. */
  async #sayHello(link: Link, hello: Hello): Promise<void> {
    try {
      link.send({ type: 'hello', hello, resume: await resumeHint(this.#store.journal, hello.position) });
    } catch (error) {
      link.close('going-away', `this secondary can't read its journal: ${describe(error)}`);
    }
  }

  /**
   * @param ours this site's own hello on this link
   * @param said resolves when this site has said it
   * @returns who takes the link's messages from now on; undefined when it is turned away
   */
  #meet(link: Link, hello: Hello, ours: Hello, said: Promise<void>): LinkEvents | undefined {
    if (this.#closed) return undefined;
    const asked = this.#asked();
    const admission = admit(asked, hello);
    if (this.#store.standing === 'primary' && admission.kind !== 'raise' && hello.role === 'primary') this.#meetRival(link, hello);
    switch (admission.kind) {
      case 'raise':
        return this.#promises.take(link, hello);
      case 'refuse':
        this.#turnAway(link, admission, asked, said);
        return undefined;
      case 'accept':
        return this.#accept(link, hello, { ours, said }, admission);
    }
  }

  #asked(): AskedSite {
    const { site, standing, stream, position: last, epochs, journal } = this.#store;
    const feeder = this.#session && { hello: this.#session.hello, remote: this.#session.link.remote };
    const { fencedBy } = journal.identity;
    return { site, standing, stream, last, epochs, fencedBy, feeder, quarantine: this.#quarantine?.message };
  }

  #meetRival({ remote }: Link, { site, epochs, position }: Hello): void {
    const { number, id } = highestEpoch(epochs, position);
    this.#events.emit('rival', { site, remote, epoch: { number, id } });
  }

  #accept(link: Link, hello: Hello, own: OwnHello, { closes, fence }: Accepted): LinkEvents {
    const before = this.#session;
    const session = this.#install(link, hello, own, fence);
    const why = `${hello.site} feeds this secondary from now on, from ${link.remote}`;
    const { number, id } = highestEpoch(hello.epochs, hello.position);
    before?.link.close(closes, closes === 'fenced' ? explainFence({ number, id, begun: true }, why) : why);
    return {
      message: message => (message.type === 'role' ? this.#hearRole(link, hello.site, message) : session.receive(message)),
      drained: () => session.drained(),
      closed: (reason, explanation, byPeer) => this.#lost(session, reason, explanation, byPeer),
    };
  }

  #hearRole(link: Link, site: string, { from, message }: Extract<Message, { type: 'role' }>): void {
    if (from !== site) return link.close('protocol-violation', `${site} speaks in the name of ${from}`);
    this.#options.role?.(from, message, answer => {
      const lives = this.#session?.link === link || this.#promises.linkOf(site) === link;
      if (lives) link.send({ type: 'role', from: this.#store.site, to: site, message: answer });
      // A promise ends what this site acknowledges to a primary of an older epoch.
      if (answer.kind === 'promised') this.#session?.progressed();
      return lives;
    });
  }

  #turnAway(link: Link, admission: Extract<Admission, { kind: 'refuse' }>, asked: AskedSite, said: Promise<void>): void {
    const { reason, error, namesake } = admission;
    const news = this.#refusal !== error.message;
    this.#refusal = error.message;
    const details = { remote: link.remote, reason };
    const level = namesake === undefined ? 'warn' : 'error';
    this.#tell({ level: news ? level : 'debug', event: 'primary-refused', message: error.message, details });
    const steppedDown =
      namesake?.isBehind === true ? stepDown(this.#store, new EvertreeError('FENCED', error.message, error.details)) : undefined;
    // Our hello goes first: a primary learns from it which epoch it is fenced by, and records that.
    void Promise.all([said, steppedDown]).then(() => link.close(reason, explain(admission, asked)));
    if (this.#session === undefined && this.#quarantine === undefined) this.#fail(error.message);
  }

  #install(link: Link, hello: Hello, { ours, said }: OwnHello, fence: Accepted['fence']): PrimarySession {
    this.#release();
    const session = new PrimarySession(link, {
      store: this.#store,
      limits: this.#limits,
      frames: this.#frames,
      farEnd: this.#transport.farEnd,
      earlier: this.#earlier,
      hello,
      ours,
      fence,
      before: Promise.all([this.#ended, said]),
      changed: () => this.#refresh(),
      resync: reason => this.#resynced(hello.site, reason),
      quarantine: (error, bytes) => this.#quarantined(error, bytes),
    });
    this.#session = session;
    this.#refusal = undefined;
    this.#failing = false;
    this.#primary = primaryAt(link.remote, hello);
    this.#heard = new HeardHistory(hello);
    this.#lastError = null;
    this.#tell({
      level: 'info',
      event: 'primary-linked',
      message: `${hello.site} (${hello.program}) is linked from ${link.remote}`,
      details: { site: hello.site, remote: link.remote, position: hello.position },
    });
    this.#refresh(true);
    return session;
  }

  #lost(session: PrimarySession, reason: CloseReason, explanation: string, byPeer: boolean): void {
    const { site } = session.hello;
    this.#tell({
      level: reason === 'going-away' || reason === 'replaced' ? 'info' : 'warn',
      event: 'primary-lost',
      message: `the link to ${site} ended (${reason}): ${explanation}`,
      details: { site, remote: session.link.remote, reason, byPeer },
    });
    if (session !== this.#session) return;
    this.#release();
    this.#fail(this.#quarantine?.message ?? `${reason}: ${explanation}`);
  }

  /** Ends the present session; the link is closed elsewhere, or has closed. */
  #release(): void {
    const session = this.#session;
    if (session === undefined) return;
    this.#session = undefined;
    this.#lastContact = session.link.lastSeen;
    const ended = session.end();
    this.#ended = this.#ended
      .then(() => ended)
      .catch((error: unknown) => {
        this.#tell({
          level: 'warn',
          event: 'snapshot-left-over',
          message: `an unfinished snapshot could not be removed: ${String(error)}`,
          details: { error },
        });
      });
  }

  #quarantined(error: EvertreeError, bytes: Uint8Array | undefined): void {
    this.#quarantine = error;
    this.#lastError = error.message;
    if (bytes !== undefined) this.#heard?.leaveOut(bytes);
    this.#tell({ level: 'error', event: 'frame-quarantined', message: error.message, details: { code: error.code, ...error.details } });
    if (bytes !== undefined) keepFrame(this.#store.report, this.#options.keepQuarantined, bytes, error);
    this.#refresh(true);
  }

  #resynced(site: string, reason: Reason): void {
    this.#resyncs += 1;
    this.#lastReason = reason.text;
    this.#tell({ level: 'warn', event: 'resync', message: `${site} sends the whole tree: ${reason.text}`, details: { site, reason } });
    this.#events.emit('resync', { site, reason });
  }

  #failed(remote: string, error: Error, retryInMs: number): void {
    const isLast = retryInMs === Infinity;
    const message = `${remote}: ${error.message}`;
    const level = this.#failing ? 'debug' : 'warn';
    this.#failing = true;
    this.#tell({ level: isLast ? 'error' : level, event: 'transport-failed', message, details: { remote, error, retryInMs } });
    if (this.#session === undefined && this.#quarantine === undefined) this.#fail(error.message);
    if (isLast) this.#events.emit('stopped', error);
  }

  #fail(message: string): void {
    this.#lastError = message;
    this.#refresh(true);
  }

  /** Derives the state again and tells it if it changed, or if `told`: something else in the status changed. */
  #refresh(told = false): void {
    const state = this.#stateNow();
    const primary = this.#session === undefined ? this.#primary : primaryNow(this.#primary, this.#store);
    if (state === this.#state && primary === this.#primary && !told) return;
    this.#primary = primary;
    if (state !== this.#state) this.#since = this.#store.clock.now();
    this.#state = state;
    this.#events.emit('state', this.state);
  }

  #stateNow(): ConsumerState {
    if (this.#quarantine !== undefined) return 'quarantined';
    if (this.#session === undefined) return this.#primary === null ? 'listening' : 'offline';
    if (this.#session.isGoingBack) return 'rewinding';
    if (this.#session.receivesSnapshot) return 'snapshot';
    return this.#heard?.isAheadOf(this.#store) === true ? 'catching-up' : 'replicating';
  }

  #lag(): ConsumerStatus['lag'] {
    const away = this.#session === undefined ? { since: this.#lastContact } : undefined;
    return this.#heard?.lag(this.#store, this.#frames.lastTime, away) ?? null;
  }

  #tell(report: Report): void {
    this.#store.report(report);
  }
}
