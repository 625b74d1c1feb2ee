import type { Clock, CloseReason, Link, LinkEvents, Message, Reporter } from '@evertree/core';

/** Why a link ended. `byPeer`: the far end said so. */
export interface Ending {
  readonly reason: CloseReason;
  readonly explanation: string;
  readonly byPeer: boolean;
}

/**
 * Delivers a link's messages to whoever is attached, in order, and its end last. What is posted waits while nobody is
 * attached or the link is paused. A reader that fetches only what is wanted asks `flows` before each message, and keeps
 * nothing here.
 */
export class Delivery {
  readonly #link: Pick<Link, 'remote' | 'close'>;
  readonly #clock: Clock;
  readonly #report: Reporter;
  /** Posted, and not handed up yet. */
  readonly #waiting: Message[] = [];
  #events: LinkEvents | undefined;
  #paused = false;
  /** A turn of `#proceed` is to come. */
  #planned = false;
  /** Set once; nothing is posted from then on. */
  #ending: Ending | undefined;
  /** `closed` was called: it is called once. */
  #told = false;
  #flowing: PromiseWithResolvers<void> | undefined;

  constructor(link: Pick<Link, 'remote' | 'close'>, clock: Clock, report: Reporter) {
    this.#link = link;
    this.#clock = clock;
    this.#report = report;
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  /** Whether a message may be handed up now. */
  get flows(): boolean {
    return this.#events !== undefined && !this.#paused && this.#waiting.length === 0 && this.#ending === undefined;
  }

  /** Resolves when messages may be handed up, or never will. */
  flowing(): Promise<void> {
    if (this.flows || this.isOver) return Promise.resolve();
    this.#flowing ??= Promise.withResolvers();
    return this.#flowing.promise;
  }

  attach(events: LinkEvents): void {
    if (this.#events !== undefined) throw new Error('a link is attached once');
    this.#events = events;
    this.#plan();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#plan();
  }

  /** Hands a message up at once. Only where `flows`, and not from within a handler. */
  hand(message: Message): void {
    if (this.#events !== undefined) handToHandler(this.#events, message, this.#link, this.#report);
  }

  /** Hands a message up in a turn of its own, after those that wait. */
  post(message: Message): void {
    if (this.#ending !== undefined) return;
    this.#waiting.push(message);
    this.#plan();
  }

  drained(): void {
    if (this.#ending === undefined) this.#events?.drained();
  }

  /** The far end ended the link: what waits is handed up first. */
  end(ending: Ending): void {
    this.#ending ??= ending;
    this.#plan();
  }

  /** This end closed the link: what waits is dropped. */
  close(ending: Ending): void {
    this.drop();
    this.end(ending);
  }

  /** Drops what waits. A wire that learns later how the link ended calls it first, and posts nothing from then on. */
  drop(): void {
    this.#waiting.length = 0;
  }

  /**
   * The connection is gone: hands up at once what waits, and the end; what waits behind a pause is dropped, as nobody
   * may ever resume a link that is gone. Only from an event of the wire, never inside a call of its owner's.
   */
  endNow(ending: Ending): void {
    this.#ending ??= ending;
    if (this.#paused) this.drop();
    this.#proceed();
  }

  /** Proceeds in a turn of its own, so that no handler runs inside a call of its owner's. */
  #plan(): void {
    const isIdle = this.#waiting.length === 0 && this.#ending === undefined && this.#flowing === undefined;
    if (this.#planned || isIdle) return;
    this.#planned = true;
    this.#clock.soon(() => this.#proceed());
  }

  #proceed(): void {
    this.#planned = false;
    while (this.#events !== undefined && !this.#paused) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      this.hand(message);
    }
    // A pause holds back what waits, but not the news that nothing follows.
    if (this.#waiting.length === 0) this.#tellEnding();
    if (!this.flows && !this.isOver) return;
    this.#flowing?.resolve();
    this.#flowing = undefined;
  }

  #tellEnding(): void {
    if (this.#told || this.#ending === undefined || this.#events === undefined) return;
    this.#told = true;
    const { reason, explanation, byPeer } = this.#ending;
    this.#events.closed(reason, explanation, byPeer);
  }
}

/** Hands a message to whoever is attached. A handler that throws is reported, and costs its link, not the process. */
export function handToHandler(events: LinkEvents, message: Message, link: Pick<Link, 'remote' | 'close'>, report: Reporter): void {
  try {
    events.message(message);
  } catch (error) {
    const what = `this site failed on a ${message.type}`;
    report({ level: 'error', event: 'link-handler-threw', message: `${what} from ${link.remote}`, details: { error } });
    link.close('refused', what);
  }
}
