import type { Clock } from '@evertree/core';
import { TURN_MS } from './limits.ts';

/** Keeps a loop that has much to do from holding the event loop. */
export class Turn {
  readonly #clock: Clock;
  #began: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = clock.monotonic();
  }

  /** To be called after a real wait. */
  restart(): void {
    this.#began = this.#clock.monotonic();
  }

  /** Whether the loop has had its share of the turn. */
  get over(): boolean {
    return this.#clock.monotonic() - this.#began >= TURN_MS;
  }

  /** Lets everything else have a turn. */
  async rest(): Promise<void> {
    await new Promise<void>(resolve => this.#clock.soon(resolve));
    this.restart();
  }
}
