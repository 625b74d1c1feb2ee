import type { Clock } from '@evertree/core';

/** Work of all requests together in one turn of the event loop, in milliseconds. */
const TURN_MS = 4;

/**
 * Shares the event loop between the requests of one server. Long work asks between its steps; what all of it may take
 * of one turn is bounded, so that other requests, links and timers wait a few milliseconds at most. The work beyond
 * that waits for later turns, first come, first served.
 */
export class Turns {
  readonly #clock: Clock;
  /** Those that wait for a later turn, the first first. */
  readonly #waiting: (() => void)[] = [];
  /** When the work of this turn began; undefined: nothing has asked in this turn yet. */
  #beganMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when there is time for another step. Undefined: there is time now. */
  breathe(): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#hasTime()) return undefined;
    return new Promise(resolve => this.#waiting.push(resolve));
  }

  /** As `breathe`, but always in a later turn: for work that many begin at the same time. */
  join(): Promise<void> {
    this.#hasTime();
    return new Promise(resolve => this.#waiting.push(resolve));
  }

  /** Does work in steps, between which others get their turn. */
  async run<T>(steps: Generator<unknown, T, void>): Promise<T> {
    // The first step counts as the others do.
    this.#hasTime();
    for (let step = steps.next(); ; step = steps.next()) {
      // The result is used in a step of its own.
      await this.breathe();
      if (step.done === true) return step.value;
    }
  }

  #hasTime(): boolean {
    const now = this.#clock.monotonic();
    if (this.#beganMs === undefined) {
      this.#beganMs = now;
      this.#clock.soon(() => void this.#begin());
    }
    return now - this.#beganMs < TURN_MS;
  }

  /** A new turn: lets those that wait continue until its time is used up. */
  async #begin(): Promise<void> {
    this.#beganMs = undefined;
    while (this.#waiting.length > 0 && this.#hasTime()) {
      this.#waiting.shift()?.();
      // Its step runs before this goes on, and so does what Node writes to sockets at the end of a step.
      await new Promise<void>(resolve => process.nextTick(resolve));
    }
  }
}
