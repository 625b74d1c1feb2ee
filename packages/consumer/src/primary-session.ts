import { ORIGIN, explainFence, formatPosition, highestEpoch } from '@evertree/core';
import type { CloseReason, EvertreeError, ExactPosition, FarEnd, Fencing, Hello, Link, Message, Reason, Store } from '@evertree/core';
import { Acknowledger } from './acknowledger.ts';
import { partsAt } from './admission.ts';
import type { EarlierIntake, EarlierOutcome } from './earlier-intake.ts';
import type { FrameIntake, FrameMessage, FrameOutcome } from './frame-intake.ts';
import type { ConsumerLimits } from './limits.ts';
import { MessageQueue } from './message-queue.ts';
import { describe, endReign, returnTo } from './return.ts';
import { SnapshotReceipt } from './snapshot-receipt.ts';
import type { SnapshotOutcome } from './snapshot-receipt.ts';

export interface PrimarySessionOptions {
  readonly store: Store;
  readonly limits: ConsumerLimits;
  readonly frames: FrameIntake;
  /** What the link leads to. */
  readonly farEnd: FarEnd;
  /** The primary's hello. */
  readonly hello: Hello;
  /** What this site told that primary: where it stood when the link began. */
  readonly ours: Hello;
  /** Takes what the primary no longer keeps from elsewhere. */
  readonly earlier: EarlierIntake | undefined;
  /** Its epoch, where that ends a reign of this site: recorded before anything is taken. */
  readonly fence: Fencing | undefined;
  /**
   * Resolves when the sessions before have ended, as what they had under way may still move this site, and when this
   * site's hello was sent.
   */
  readonly before: Promise<unknown>;
  /** Position, or whether a snapshot is on its way, changed. */
  changed(): void;
  /** The primary sends the whole tree, for this reason. */
  resync(reason: Reason): void;
  /** What came can't be applied; `bytes` of the frame, where it was one. */
  quarantine(error: EvertreeError, bytes: Uint8Array | undefined): void;
}

/** One primary's link, from its admission to its end: what its messages lead to, one after the other. */
export class PrimarySession {
  readonly link: Link;
  readonly #options: PrimarySessionOptions;
  readonly #store: Store;
  readonly #snapshot: SnapshotReceipt;
  readonly #acknowledger: Acknowledger;
  readonly #queue: MessageQueue;
  #goingBack = false;
  /** The revision after which frames were asked for again; they are dropped until one follows it. */
  #gapAt: number | undefined;
  /** Set while history is taken from elsewhere; the primary sends nothing meanwhile. */
  #fetching: Promise<void> | undefined;
  /** On this link history from elsewhere did not lead to where the primary goes on: it is not tried again. */
  #triedInVain = false;
  /** Ends what is taken from elsewhere. */
  readonly #abort = new AbortController();
  /** Nothing is taken, applied or sent any more. */
  #over = false;

  constructor(link: Link, options: PrimarySessionOptions) {
    this.link = link;
    this.#options = options;
    this.#store = options.store;
    this.#snapshot = new SnapshotReceipt(options.store);
    const reign = highestEpoch(options.hello.epochs, options.hello.position);
    this.#acknowledger = new Acknowledger({ store: options.store, link, reign, outranked: by => this.#outranked(by) });
    this.#queue = new MessageQueue({
      link,
      store: options.store,
      pendingBytes: options.limits.pendingBytes,
      handle: message => this.#handle(message),
    });
    this.#queue.waitFor(this.#begin());
  }

  get hello(): Hello {
    return this.#options.hello;
  }

  /** This site keeps what lies behind a fork, and undoes it. */
  get isGoingBack(): boolean {
    return this.#goingBack;
  }

  get receivesSnapshot(): boolean {
    return this.#snapshot.header !== undefined;
  }

  receive(message: Message): void {
    this.#queue.add(message);
  }

  drained(): void {
    this.#acknowledger.schedule();
  }

  /** The journal made progress: there may be more to acknowledge, and room. */
  progressed(): void {
    if (this.#over) return;
    this.#acknowledger.schedule();
    this.#queue.progressed();
    if (this.#store.standing === 'primary') this.#leave();
  }

  /**
   * Nothing more is taken from the link. Resolves when what was under way has ended and left no trace of an unfinished
   * snapshot.
   */
  async end(): Promise<void> {
    this.#stop();
    await Promise.all([this.#queue.idle, this.#fetching]);
    await this.#snapshot.abort();
  }

  /** Records what this primary ends, and goes back to where its history parts from ours. Never rejects. */
  async #begin(): Promise<void> {
    const { before, fence, hello, ours, farEnd } = this.#options;
    await before;
    if (this.#over) return;
    const failure = fence === undefined ? undefined : await endReign(this.#store, fence, hello.site);
    if (failure !== undefined) this.#close('going-away', failure);
    if (this.#over) return;
    // Why this site took no writes as a primary, if it was one: it follows from now on.
    this.#store.refuseWrites(undefined);
    const fork = partsAt(this.#store.lineage, hello);
    // A session before may have gone back since our hello: this primary waits to hear of that.
    const isAwaited = partsAt({ epochs: ours.epochs, last: ours.position }, hello) !== undefined;
    if (fork === undefined && !isAwaited) return this.#acknowledger.begin();
    if (fork !== undefined && (await this.#goBack(fork)) !== 'back') return;
    const after = fork ?? this.#store.stable.position;
    // A wire that reads a log finds its place anew with the next link's hello.
    if (farEnd.kind === 'log') {
      return this.#close('going-away', `${this.#store.site} went back to ${formatPosition(after)}, and reads on from there`);
    }
    this.link.send({ type: 'resend', after });
    this.#acknowledger.begin();
  }

  /** Goes back to a fork. If the journal does not reach back, asks for a whole tree; if it failed, the link is closed. */
  async #goBack(fork: ExactPosition): Promise<'back' | 'waits' | 'over'> {
    this.#goingBack = true;
    this.#options.changed();
    const outcome = await returnTo(this.#store, fork, this.hello.site);
    this.#goingBack = false;
    if (outcome.kind === 'back') {
      this.#options.frames.wentBack();
      this.#gapAt = undefined;
    }
    if (outcome.kind === 'failed') this.#close('going-away', outcome.error);
    this.#options.changed();
    if (this.#over) return 'over';
    if (outcome.kind === 'back') return 'back';
    this.link.send({ type: 'resend', after: ORIGIN });
    return 'waits';
  }

  /** This site gave a promise, or heard of an epoch, that stands above this primary's. */
  #outranked(by: Fencing): void {
    const why = `${this.#store.site} acknowledges nothing of an older epoch`;
    this.#close('fenced', explainFence(by, why));
  }

  /**
   * This site leads now. The primary that it followed is told once this site's epoch is stable. One that handed over
   * closes by itself when it has heard of that epoch.
   */
  #leave(): void {
    const { epochs, site, stable } = this.#store;
    const followed = epochs.findLast(epoch => epoch.site !== site);
    if (followed?.end !== undefined || stable.position.epoch <= (followed?.number ?? 0)) return;
    const { number, id } = highestEpoch(epochs, stable.position);
    this.#close('fenced', explainFence({ number, id, begun: true }, `${site} has become the primary`));
  }

  /** @returns a promise that never rejects when the next message has to wait */
  #handle(message: Message): Promise<void> | undefined {
    const inSnapshot = this.receivesSnapshot;
    switch (message.type) {
      case 'frame':
        if (this.#fetching !== undefined) return this.#violation('a frame came before the answer to a history-begins');
        return inSnapshot ? this.#violation('a frame came in the middle of a snapshot') : this.#handleFrame(message);
      case 'history-begins':
        return this.#takeEarlier(message);
      case 'snapshot-begin':
        if (inSnapshot) return this.#violation('a snapshot began in the middle of another');
        this.#options.resync(message.reason);
        return this.#await(this.#snapshot.begin(message.header));
      case 'snapshot-chunk':
        return inSnapshot
          ? this.#await(this.#snapshot.add(message.bytes))
          : this.#violation('a part of a snapshot came without its beginning');
      case 'snapshot-end':
        return inSnapshot ? this.#finishSnapshot(message.chunks) : this.#violation('a snapshot ended that had not begun');
      default:
        return this.#violation(`a primary sends no ${message.type} after its hello`);
    }
  }

  #handleFrame(message: FrameMessage): Promise<void> | undefined {
    const outcome = this.#options.frames.take(message, this.#abort.signal);
    if (!(outcome instanceof Promise)) return this.#conclude(outcome, message);
    return outcome.then(
      late => this.#conclude(late, message),
      (error: unknown) => this.#close('going-away', `the journal can't be read: ${describe(error)}`),
    );
  }

  /** Takes what lies before `base` from elsewhere, and tells the primary where this site stands then. */
  #takeEarlier({ base, epochs, last }: Extract<Message, { type: 'history-begins' }>): undefined {
    const { earlier } = this.#options;
    if (earlier === undefined || this.#fetching !== undefined || this.receivesSnapshot) {
      return this.#violation('a history-begins came that nothing led to');
    }
    const { position: after, stream } = this.#store;
    if (this.#triedInVain || stream === null) {
      this.link.send({ type: 'resend', after });
      return undefined;
    }
    const applied = () => {
      this.#gapAt = undefined;
      this.#acknowledger.schedule();
      this.#options.changed();
    };
    const taken = earlier.take({ after, base, primary: { epochs, last }, stream }, this.#abort.signal, applied);
    this.#fetching = this.#goOnAfter(taken);
  }

  /** Never rejects. */
  async #goOnAfter(taken: Promise<EarlierOutcome>): Promise<void> {
    const outcome = await taken;
    this.#fetching = undefined;
    if (this.#over) return;
    this.#options.changed();
    if (outcome.kind === 'refuse') return this.#close(outcome.reason, outcome.error.message);
    this.#triedInVain = outcome.kind === 'failed';
    this.link.send({ type: 'resend', after: this.#store.position });
  }

  /** @returns a promise that never rejects when the next message has to wait */
  #conclude(outcome: FrameOutcome, message: FrameMessage): Promise<void> | undefined {
    if (this.#over) return undefined;
    switch (outcome.kind) {
      case 'applied':
        this.#gapAt = undefined;
        this.#queue.applied();
        this.#acknowledger.schedule();
        this.#options.changed();
        return undefined;
      case 'duplicate':
        this.#acknowledger.schedule(true);
        return undefined;
      case 'gap':
        this.#askAgain();
        return undefined;
      case 'rewind':
        return this.#rewindFor(message, outcome.fork);
      case 'full':
        this.#queue.putOff(message);
        return undefined;
      case 'refuse':
        this.#close(outcome.reason, outcome.error.message);
        return undefined;
      case 'quarantine':
        this.#options.quarantine(outcome.error, message.bytes);
        this.#close('quarantined', outcome.error.message);
        return undefined;
      case 'aborted':
        return undefined;
    }
  }

  /** Goes back to where a frame begins a higher epoch, and then takes that frame. */
  async #rewindFor(message: FrameMessage, fork: ExactPosition): Promise<void> {
    if ((await this.#goBack(fork)) === 'back') this.#queue.putBack(message);
  }

  /** Asks once for a position: the frames that are on their way are dropped until the one that follows comes. */
  #askAgain(): void {
    const { position } = this.#store;
    if (this.#gapAt === position.revision) return;
    this.#gapAt = position.revision;
    this.#store.report({
      level: 'warn',
      event: 'frames-missing',
      message: `frames after ${position.epoch}-${position.revision} are missing; ${this.hello.site} is asked for them again`,
      details: { site: this.hello.site, position },
    });
    this.link.send({ type: 'resend', after: position });
  }

  async #finishSnapshot(chunks: number): Promise<void> {
    const time = this.#snapshot.header?.time ?? 0;
    await this.#await(this.#snapshot.finish(chunks), () => {
      this.#options.frames.restart(time);
      this.#gapAt = undefined;
      this.#acknowledger.begin();
      this.#acknowledger.schedule(true);
      this.#options.changed();
    });
  }

  async #await(step: Promise<SnapshotOutcome>, taken?: () => void): Promise<void> {
    const outcome = await step;
    if (outcome.kind === 'taken') taken?.();
    if (this.#over) return;
    if (outcome.kind === 'taken') return this.#options.changed();
    if (outcome.kind === 'quarantine') this.#options.quarantine(outcome.error, undefined);
    this.#close(outcome.kind === 'quarantine' ? 'quarantined' : outcome.reason, outcome.error.message);
  }

  #violation(explanation: string): undefined {
    this.#close('protocol-violation', explanation);
  }

  #close(reason: CloseReason, explanation: string): void {
    this.#stop();
    this.link.close(reason, explanation);
  }

  #stop(): void {
    this.#over = true;
    this.#queue.close();
    this.#acknowledger.stop();
    this.#abort.abort();
  }
}
