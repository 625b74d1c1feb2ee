import { Emitter, greet, helloOf } from '@evertree/core';
import type {
  CloseReason,
  EvertreeError,
  Hello,
  Lineage,
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
import { admit, assertMayFollow } from './admission.ts';
import { FrameIntake } from './frame-intake.ts';
import { resumeHint, revisionsBehind } from './history.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { ConsumerLimits } from './limits.ts';
import { PrimarySession } from './primary-session.ts';
import type { ConsumerState, ConsumerStatus } from './status.ts';

type Heard = Pick<Lineage, 'epochs' | 'last'> & Pick<Hello, 'site'>;

export interface ConsumerOptions {
  /** The store. It becomes a secondary's and stays one; the consumer does not close it. */
  readonly store: Store;
  /** Not yet opened; the consumer opens and closes it. */
  readonly transport: Transport;
  readonly limits?: Partial<ConsumerLimits>;
  /** The program's name and version, as the primary is told. */
  readonly program?: string;
  /** This site has what a primary needs. */
  readonly standby?: boolean;
  /** Where clients reach this site's HTTP, as of now. */
  readonly advertised?: () => string | undefined;
  /** Takes what a far end says about who leads. */
  readonly role?: RoleHandler;
  /** Keeps a frame that could not be applied, for people to look at. */
  readonly keepQuarantined?: (frame: Uint8Array, error: EvertreeError) => void;
}

export interface ConsumerEvents {
  /** The state, the primary or the last error changed. */
  state(status: ConsumerStatus): void;
  /** The primary begins to send the whole tree, for this reason. */
  resync(resync: { readonly site: string; readonly reason: Reason }): void;
  /** The transport failed and will not try again: no primary can come any more. */
  stopped(error: Error): void;
  /** It was closed: nothing feeds the store any more. */
  closed(): void;
}

/** Feeds a secondary's store from its primary: one link at a time, and it judges each frame before it is applied. */
export class Consumer implements AsyncDisposable {
  readonly #store: Store;
  readonly #transport: Transport;
  readonly #limits: ConsumerLimits;
  readonly #options: ConsumerOptions;
  readonly #frames: FrameIntake;
  readonly #events: Emitter<ConsumerEvents>;
  /** The link of the primary that feeds this site; undefined while there is none. */
  #session: PrimarySession | undefined;
  /** Resolves when all earlier sessions have ended. */
  #ended: Promise<void> = Promise.resolve();
  #quarantine: EvertreeError | undefined;
  #primary: ConsumerStatus['primary'] = null;
  #lastContact: number | null = null;
  /** The primary's history as its hello told it, up to where it stood then. */
  #heard: Heard | undefined;
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

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#transport = options.transport;
    this.#limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.#frames = new FrameIntake(options.store, options.transport.farEnd, this.#limits.recentFrames);
    this.#events = new Emitter(options.store.report);
    this.#since = options.store.clock.now();
  }

  /**
   * Makes the store a secondary's, and resolves when the transport listens.
   * @throws EvertreeError WRONG_ROLE when the store has commits of its own; what the transport throws when it never can
   *   listen
   */
  async open(): Promise<void> {
    assertMayFollow(this.#store);
    await this.#store.follow();
    this.#progress = this.#store.journal.log.onProgress(() => this.#session?.progressed());
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

  /** The primary that fed this site last, and its history as it was heard. */
  get heard(): Heard | undefined {
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
    };
  }

  on<Name extends keyof ConsumerEvents>(name: Name, listener: ConsumerEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * Says something about who leads to the primary that feeds this site.
   * @returns false when `site` is another one
   */
  sendRole(site: string, message: RoleMessage): boolean {
    const session = this.#session;
    if (session === undefined || session.hello.site !== site) return false;
    session.link.send({ type: 'role', from: this.#store.site, to: site, message });
    return true;
  }

  /** Closes the link as `going-away`. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#progress?.[Symbol.dispose]();
    await this.#transport.close();
    this.#release();
    await this.#ended;
    this.#events.emit('closed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #introduce(link: Link): void {
    const said = Promise.withResolvers<void>();
    greet(link, {
      clock: this.#store.clock,
      helloMs: this.#limits.helloMs,
      meet: hello => this.#meet(link, hello, said.promise),
      left: () => undefined,
    });
    void this.#sayHello(link).then(said.resolve);
  }

  /** Never rejects. */
  async #sayHello(link: Link): Promise<void> {
    const { program = 'evertree', standby = false, advertised } = this.#options;
    const hello = helloOf(this.#store, { program, standby, advertised: advertised?.(), raises: undefined });
    try {
      link.send({ type: 'hello', hello, resume: await resumeHint(this.#store.journal, hello.position) });
    } catch (error) {
      link.close('going-away', `this secondary can't read its journal: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /**
   * @param said resolves when this site has said its own hello
   * @returns who takes the link's messages from now on; undefined when it is turned away
   */
  #meet(link: Link, hello: Hello, said: Promise<void>): LinkEvents | undefined {
    if (this.#closed) return undefined;
    const { site, stream, position: last, epochs } = this.#store;
    const before = this.#session;
    const feeder = before && { hello: before.hello, remote: before.link.remote };
    const secondary = { site, stream, last, epochs, feeder, quarantine: this.#quarantine?.message };
    const admission = admit(secondary, hello);
    if (admission.kind === 'refuse') {
      this.#turnAway(link, admission.reason, admission.error, said);
      return undefined;
    }
    const session = this.#install(link, hello);
    before?.link.close(admission.closes, `${hello.site} feeds this secondary from now on, from ${link.remote}`);
    return {
      message: message => (message.type === 'role' ? this.#hearRole(session, message) : session.receive(message)),
      drained: () => session.drained(),
      closed: (reason, explanation, byPeer) => this.#lost(session, reason, explanation, byPeer),
    };
  }

  #hearRole(session: PrimarySession, { from, message }: Extract<Message, { type: 'role' }>): void {
    const { link, hello } = session;
    if (from !== hello.site) return link.close('protocol-violation', `${hello.site} speaks in the name of ${from}`);
    this.#options.role?.(from, message, answer => session === this.#session && this.sendRole(from, answer));
  }

  #turnAway(link: Link, reason: CloseReason, error: EvertreeError, said: Promise<void>): void {
    const news = this.#refusal !== error.message;
    this.#refusal = error.message;
    const details = { remote: link.remote, reason };
    this.#tell({ level: news ? 'warn' : 'debug', event: 'primary-refused', message: error.message, details });
    // Our hello goes first: a primary learns from it which epoch it is fenced by, and records that.
    void said.then(() => link.close(reason, error.message));
    if (this.#session === undefined && this.#quarantine === undefined) this.#fail(error.message);
  }

  #install(link: Link, hello: Hello): PrimarySession {
    this.#release();
    const session = new PrimarySession(link, {
      store: this.#store,
      limits: this.#limits,
      frames: this.#frames,
      hello,
      before: this.#ended,
      changed: () => this.#refresh(),
      resync: reason => this.#resynced(hello.site, reason),
      quarantine: (error, bytes) => this.#quarantined(error, bytes),
    });
    this.#session = session;
    this.#refusal = undefined;
    this.#failing = false;
    const { site, position, advertised } = hello;
    const address = advertised === undefined ? {} : { address: advertised };
    this.#primary = { site, remote: link.remote, epoch: position.epoch, ...address };
    this.#heard = { site: hello.site, epochs: hello.epochs, last: hello.position };
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
    this.#tell({ level: 'error', event: 'frame-quarantined', message: error.message, details: { code: error.code, ...error.details } });
    if (bytes !== undefined) this.#keep(bytes, error);
    this.#refresh(true);
  }

  #keep(bytes: Uint8Array, error: EvertreeError): void {
    try {
      this.#options.keepQuarantined?.(bytes, error);
    } catch (cause) {
      this.#tell({
        level: 'warn',
        event: 'frame-not-kept',
        message: `the frame could not be kept: ${String(cause)}`,
        details: { error: cause },
      });
    }
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
    if (state === this.#state && !told) return;
    if (state !== this.#state) this.#since = this.#store.clock.now();
    this.#state = state;
    this.#events.emit('state', this.state);
  }

  #stateNow(): ConsumerState {
    if (this.#quarantine !== undefined) return 'quarantined';
    if (this.#session === undefined) return this.#primary === null ? 'listening' : 'offline';
    if (this.#session.receivesSnapshot) return 'snapshot';
    return this.#isBehind ? 'catching-up' : 'replicating';
  }

  get #isBehind(): boolean {
    return this.#heard !== undefined && this.#store.position.revision < this.#heard.last.revision;
  }

  #lag(): ConsumerStatus['lag'] {
    const revisions = revisionsBehind(this.#store.history, this.#heard);
    if (revisions === null) return null;
    const now = this.#store.clock.now();
    if (this.#session === undefined) return { revisions, ms: this.#lastContact === null ? null : Math.max(0, now - this.#lastContact) };
    const { lastTime } = this.#frames;
    if (revisions === 0) return { revisions, ms: 0 };
    return { revisions, ms: lastTime === undefined ? null : Math.max(0, now - lastTime) };
  }

  #tell(report: Report): void {
    this.#store.report(report);
  }
}
