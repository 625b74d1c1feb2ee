import type { Clock, CloseReason, Link, LinkEvents, Message, Reporter } from '@evertree/core';
import { handToHandler } from './handler.ts';

/** Why a link ended. */
export interface Ending {
  readonly reason: CloseReason;
  readonly explanation: string;
  readonly byPeer: boolean;
}

/**
 * Delivers a link's messages to whoever is attached, in order, and its end last. What is posted waits while nobody is attached or the
 * link is paused. A reader that fetches only what is wanted asks `flows` before each message, and keeps nothing here.
 */
export class Delivery {
  readonly #link: Pick<Link, 'remote' | 'close'>;
  readonly #clock: Clock;
  readonly #report: Reporter;
  /** Posted, and not handed up yet. */
  readonly #waiting: Message[] = [];
  #events: LinkEvents | undefined;
  #paused = false;
  #planned = false;
  /** Set once; nothing is posted from then on. */
  #ending: Ending | undefined;
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
    this.#waiting.length = 0;
    this.end(ending);
  }

  /** In a turn of its own, so that no handler runs inside a call of its own. */
  #plan(): void {
    if (this.#planned) return;
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
