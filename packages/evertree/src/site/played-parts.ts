import { Emitter, type ErrorEvents, type Reason, type Store } from '@evertree/core';
import type { Part } from '../roles/part.ts';

interface PlayedPartsEvents extends ErrorEvents {
  /** Another part is played, or none any more. */
  part(part: Part | undefined): void;
  /** Opening a part has come to an end, well or not: the role may have changed. */
  tried(): void;
  /** Parts were opened or closed, or a secondary's state towards its primary changed. */
  state(): void;
  resync(resync: { readonly site: string; readonly reason: Reason }): void;
  /** A part gave up the only way to the others. */
  failed(error: Error): void;
}

/**
 * The parts of a site that are open. One change is under way at a time; the others wait for it. Whoever wants to know
 * what is played asks each time.
 */
export class PlayedParts {
  readonly #store: Store;
  readonly #events: Emitter<PlayedPartsEvents>;
  /** The parts that are open, oldest first. More than one only if the library's `startProducer` was called again. */
  #parts: readonly Part[] = [];
  /** The newest change that was asked for: the next one begins when it is over. Never rejects. */
  #change: Promise<unknown> = Promise.resolve();
  /** The part that was told last. */
  #told: Part | undefined;
  /** The first of the present parts that lost its only way to the others, and whether that was told. */
  #lost: { readonly part: Part; readonly error: Error; isTold: boolean } | undefined;

  constructor(store: Store) {
    this.#store = store;
    this.#events = new Emitter(store.report);
  }

  on<Name extends keyof PlayedPartsEvents>(name: Name, listener: PlayedPartsEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * What is played now; undefined between two parts and where none was begun. A primary that has a standby configuration
   * listens as well: that is told only when it is no primary any more, and does not feed.
   */
  get present(): Part | undefined {
    const { role, standing } = this.#store;
    const own = this.#parts.findLast(part => part.role === role);
    return own ?? (standing === 'primary' ? undefined : this.#parts.at(-1));
  }

  /** Why a part can't go on by itself, once that was told. */
  get failure(): Error | undefined {
    return this.#lost?.isTold === true ? this.#lost.error : undefined;
  }

  /** Does a change when those that were asked for before are over. */
  inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#change.then(change);
    this.#change = done.catch(() => undefined);
    return done;
  }

  /** Within a turn. Throws what opening the part throws. */
  async begin(part: Part): Promise<void> {
    const running = lifecycleOf(part);
    using hooks = this.#follow(part);
    try {
      await running.open();
    } catch (error) {
      this.#forgetLost(part);
      throw error;
    } finally {
      // A consumer has changed the role even if it can't listen.
      this.#events.emit('tried');
    }
    hooks.use(running.on('closed', () => this.#ended(part)));
    part.opened?.();
    this.#parts = [...this.#parts, part];
    this.#tellPart();
    this.#events.emit('state');
    hooks.move();
  }

  /** Within a turn. */
  async end(part: Part): Promise<void> {
    await lifecycleOf(part).close();
  }

  /** Within a turn. */
  async endAll(): Promise<void> {
    for (const part of this.#parts.toReversed()) await this.end(part);
  }

  /** The role or the standing may have changed. */
  update(): void {
    this.#tellPart();
    this.#tellLost();
  }

  #ended(part: Part): void {
    if (!this.#parts.includes(part)) return;
    this.#parts = this.#parts.filter(other => other !== part);
    this.#forgetLost(part);
    this.#tellPart();
    this.#events.emit('state');
  }

  /** Passes on what a part tells. The listeners end with the part. */
  #follow(part: Part): DisposableStack {
    const hooks = new DisposableStack();
    const running = lifecycleOf(part);
    hooks.use(
      running.on('stopped', error => {
        this.#lost ??= { part, error, isTold: false };
        this.#tellLost();
      }),
    );
    hooks.use(running.on('resync', resync => this.#events.emit('resync', resync)));
    if (part.role === 'secondary') hooks.use(part.consumer.on('state', () => this.#events.emit('state')));
    return hooks;
  }

  #forgetLost(part: Part): void {
    if (this.#lost?.part === part) this.#lost = undefined;
  }

  /** A primary goes on without the port that it needs as a secondary: it fails when it is to follow. */
  #tellLost(): void {
    const lost = this.#lost;
    if (lost === undefined || lost.isTold || (lost.part.role === 'secondary' && this.#store.standing === 'primary')) return;
    lost.isTold = true;
    this.#events.emit('failed', lost.error);
  }

  #tellPart(): void {
    const part = this.present;
    if (part === this.#told) return;
    this.#told = part;
    this.#events.emit('part', part);
  }
}

/** What a producer and a consumer have in common. */
interface PartLifecycle {
  open(): Promise<void>;
  close(): Promise<void>;
  on(name: 'stopped', listener: (error: Error) => void): Disposable;
  on(name: 'resync', listener: PlayedPartsEvents['resync']): Disposable;
  on(name: 'closed', listener: () => void): Disposable;
}

function lifecycleOf(part: Part): PartLifecycle {
  return part.role === 'primary' ? part.producer : part.consumer;
}
