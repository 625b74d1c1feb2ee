import type { Clock } from '@evertree/core';

/** The most bytes of a group that is written synchronously: about what one turn of an event loop commits. */
const QUICK_LIMIT_BYTES = 16 * 1024;

/**
 * Synchronous writes begin when so many asynchronous ones in a row took less than this on average. Theirs is the time of
 * the disk and of two hand-overs between threads, so it is above what a synchronous write takes.
 */
const OBSERVED_WRITES = 4;
const OBSERVED_LIMIT_MS = 1;

/**
 * They end when they take more than this on average: for SHORT_REST_MS, and each time that they end again within
 * LONG_REST_MS for twice as long as the last time, up to LONG_REST_MS. Some 20 ms in which a quick disk is slow end
 * them. With a second of rest each time, half of the changes were visible after 4.8 ms on a busy disk; so after 2.9 ms.
 */
const QUICK_LIMIT_MS = 0.5;
const SHORT_REST_MS = 125;
const LONG_REST_MS = 1_000;

/**
 * They end at once when one took longer than SLOW_MS: it held the event loop. They rest for so many times as long, so
 * that writes that stall hold it for at most a hundredth of the time. A busy machine makes any write take up to 5 ms.
 */
const SLOW_MS = 8;
const REST_FACTOR = 100;

/**
 * The average is that of about so many writes, the newest of which count most. A longer one counts as COUNTED_MS: the
 * few that a busy machine delays say little about the disk.
 */
const AVERAGED_WRITES = 32;
const COUNTED_MS = 2;

/**
 * Judges whether the next group is written synchronously. On a quick disk the hand-over to another thread and back costs
 * as much as the write, and milliseconds where threads wait for a core. On any other disk a synchronous write would hold
 * the event loop: it is judged by what the writes of this journal took.
 */
export class QuickWrites {
  readonly #clock: Clock;
  #active = false;
  /** Of the writes of the present kind, in milliseconds. */
  #average = 0;
  /** Asynchronous writes of small groups since the synchronous ones ended, or since the opening. */
  #observed = 0;
  /** When the rest is over (Clock.monotonic). */
  #restsUntil = 0;
  /** When synchronous writes began (Clock.monotonic). */
  #began = 0;
  /** The last rest that the average asked for. */
  #restMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  allows(bytes: number): boolean {
    return this.#active && bytes <= QUICK_LIMIT_BYTES;
  }

  /** A group was written asynchronously. */
  observe(bytes: number, tookMs: number): void {
    if (this.#active || bytes > QUICK_LIMIT_BYTES) return;
    this.#observed++;
    // The first ones count alike.
    this.#count(tookMs, Math.min(this.#observed, AVERAGED_WRITES));
    if (this.#observed < OBSERVED_WRITES || this.#average > OBSERVED_LIMIT_MS || this.#clock.monotonic() < this.#restsUntil) return;
    this.#active = true;
    this.#began = this.#clock.monotonic();
    this.#average = 0;
  }

  /** A group was written synchronously. */
  wrote(tookMs: number): void {
    this.#count(tookMs, AVERAGED_WRITES);
    if (tookMs > SLOW_MS) this.#rest(tookMs * REST_FACTOR);
    else if (this.#average > QUICK_LIMIT_MS) this.#rest(this.#nextRestMs());
  }

  #nextRestMs(): number {
    const endsSoon = this.#restMs > 0 && this.#clock.monotonic() - this.#began < LONG_REST_MS;
    this.#restMs = endsSoon ? Math.min(2 * this.#restMs, LONG_REST_MS) : SHORT_REST_MS;
    return this.#restMs;
  }

  #count(tookMs: number, among: number): void {
    this.#average += (Math.min(tookMs, COUNTED_MS) - this.#average) / among;
  }

  #rest(forMs: number): void {
    this.#active = false;
    this.#observed = 0;
    this.#average = 0;
    this.#restsUntil = this.#clock.monotonic() + forMs;
  }
}
