import type { Random } from '@evertree/core';

const GROWTH = 1.5;
/** The longest wait for the next attempt, unless the configured interval is longer. */
const LONGEST_MS = 30_000;
const MOST_INTERVALS = 30;
/** Each wait is up to this share shorter or longer, so that sites that lost one far end don't come back all at once. */
const JITTER = 0.2;

/**
 * Waits between attempts: the interval × 1.5 each time, up to 30 intervals or 30 s, whichever is shorter, ± 20 %.
 */
export class Backoff {
  readonly #intervalMs: number;
  readonly #mostMs: number;
  readonly #random: Random;
  #nextMs: number;

  /** @param mostMs the longest wait, if it is not 30 intervals or 30 s */
  constructor(intervalMs: number, random: Random, mostMs: number = Math.min(intervalMs * MOST_INTERVALS, LONGEST_MS)) {
    this.#intervalMs = intervalMs;
    this.#mostMs = Math.max(intervalMs, mostMs);
    this.#random = random;
    this.#nextMs = intervalMs;
  }

  /**
   * Milliseconds until the next attempt.
   * @param mostIntervals the longest wait after this failure; the waits after others grow on
   */
  next(mostIntervals = Infinity): number {
    const baseMs = Math.min(this.#nextMs, this.#intervalMs * mostIntervals);
    const waitMs = baseMs * (1 - JITTER + 2 * JITTER * this.#random.fraction());
    this.#nextMs = Math.min(this.#nextMs * GROWTH, this.#mostMs);
    return waitMs;
  }

  /** An attempt succeeded: the next failure waits for one interval only. */
  reset(): void {
    this.#nextMs = this.#intervalMs;
  }
}
