import type { Clock } from './seams/host.ts';

/**
 * A loop that never waits gives the event loop a turn after this long, so that it holds nobody up for more than 5 ms.
 */
const TURN_MS = 4;

/** Keeps a loop that has much to do from holding the event loop. */
export class Turn {
  readonly #clock: Clock;
  /** When the loop began to work without a pause; on the monotonic clock. */
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

  /** Rests where the loop has had its share; to be called after each step. */
  async breathe(): Promise<void> {
    if (this.over) await this.rest();
  }

  /** Lets everything else have a turn. */
  async rest(): Promise<void> {
    await new Promise<void>(resolve => this.#clock.soon(resolve));
    this.restart();
  }
}
