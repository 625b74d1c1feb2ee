import type { Clock } from '@evertree/core';

const SECOND_MS = 1000;
/** A service's answer is taken for its time so long. */
const VALID_MS = 60_000;
/** A service whose clock was set back by more is believed at once. */
const STEP_MS = 5_000;

/**
 * A service's time, from the `Date` of its answers. A date has whole seconds and is some milliseconds old when it comes:
 * the time is that of the date or later. So the answer that gives the latest time is the nearest to it.
 */
export class ServiceClock {
  readonly #clock: Clock;
  /** What is added to Clock.monotonic. */
  #offsetMs = 0;
  #notedAtMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param date of an answer that has just come, as HTTP writes it */
  note(date: string | undefined): void {
    const dateMs = Date.parse(date ?? '');
    if (Number.isNaN(dateMs)) return;
    const nowMs = this.#clock.monotonic();
    const offsetMs = dateMs - nowMs;
    const isStale = nowMs - this.#notedAtMs > VALID_MS;
    if (!isStale && offsetMs <= this.#offsetMs && offsetMs > this.#offsetMs - SECOND_MS - STEP_MS) return;
    this.#offsetMs = offsetMs;
    this.#notedAtMs = nowMs;
  }

  /** Milliseconds since 1970; undefined if no answer came for a while. */
  now(): number | undefined {
    const nowMs = this.#clock.monotonic();
    return nowMs - this.#notedAtMs > VALID_MS ? undefined : Math.floor(nowMs + this.#offsetMs);
  }
}
