import type { Clock, CloseReason, LinkEvents, Message } from '@evertree/core';

/** Hands messages up, in order, to whoever is attached; keeps them while nobody is, or while it is paused. */
export class Delivery {
  readonly #clock: Clock;
  readonly #handle: (events: LinkEvents, message: Message) => void;
  readonly #waiting: Message[] = [];
  #events: LinkEvents | undefined;
  #paused = false;
  #planned = false;
  #ending: { readonly reason: CloseReason; readonly explanation: string } | undefined;
  #told = false;

  /** @param handle hands one message to a handler, and never throws */
  constructor(clock: Clock, handle: (events: LinkEvents, message: Message) => void) {
    this.#clock = clock;
    this.#handle = handle;
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

  /** In a turn of its own: no handler runs inside a call of its owner's. */
  hand(message: Message): void {
    if (this.#ending !== undefined) return;
    this.#waiting.push(message);
    this.#plan();
  }

  drained(): void {
    if (this.#ending === undefined) this.#events?.drained();
  }

  /** Nothing is handed up any more but the end. */
  drop(): void {
    this.#waiting.length = 0;
  }

  close(reason: CloseReason, explanation: string): void {
    this.#ending ??= { reason, explanation };
    this.drop();
    this.#plan();
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#clock.soon(() => this.#go());
  }

  #go(): void {
    this.#planned = false;
    while (this.#events !== undefined && !this.#paused) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      this.#handle(this.#events, message);
    }
    if (this.#events === undefined || this.#ending === undefined || this.#told) return;
    this.#told = true;
    this.#events.closed(this.#ending.reason, this.#ending.explanation, false);
  }
}
