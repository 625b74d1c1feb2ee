import type { Clock } from '@evertree/core';

/** The most bytes of a group that is written synchronously: about what one turn of an event loop commits. */
const QUICK_LIMIT_BYTES = 16 * 1024;

/**
 * Synchronous writes begin when so many more asynchronous ones took at most OBSERVED_LIMIT_MS than took longer. Theirs
 * is the time of the disk and of two hand-overs between threads, so it is above what a synchronous write takes.
 */
const OBSERVED_WRITES = 4;
const OBSERVED_LIMIT_MS = 1;

/** A synchronous write that takes no longer is free: the hand-overs of an asynchronous one cost the loop as much. */
const FREE_MS = 0.5;

/**
 * Longer ones draw what they take beyond it from a credit of so many milliseconds, which fills again by this part of the
 * time that passes. So they hold the event loop, beyond FREE_MS each, for at most a tenth of the time and CREDIT_MS.
 */
const CREDIT_MS = 50;
const CREDIT_SHARE = 0.1;

/**
 * What a write takes beyond STALL_MS draws so many times as much: long stalls hold the loop for at most about a hundredth
 * of the time. A full credit covers one of 12 ms. A busy machine makes any write take up to 5 ms.
 */
const STALL_MS = 8;
const STALL_FACTOR = 10;

/**
 * Judges whether the next group is written synchronously. On a quick disk the hand-over to another thread and back costs
 * as much as the write, and milliseconds where threads wait for a core. On any other disk a synchronous write would hold
 * the event loop: it is judged by what the writes of this journal took.
 */
export class QuickWrites {
  readonly #clock: Clock;
  #active = false;
  /** Asynchronous writes of small groups: the quick ones less the others, at least 0. */
  #observed = 0;
  /** For how many milliseconds synchronous writes may hold the loop, as of #countedAt; below 0 they rest. */
  #creditMs = CREDIT_MS;
  /** Clock.monotonic */
  #countedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedAt = clock.monotonic();
  }

  allows(bytes: number): boolean {
    return this.#active && bytes <= QUICK_LIMIT_BYTES;
  }

  /** A group was written asynchronously. */
  observe(bytes: number, tookMs: number): void {
    if (this.#active || bytes > QUICK_LIMIT_BYTES) return;
    this.#observed = tookMs <= OBSERVED_LIMIT_MS ? this.#observed + 1 : Math.max(0, this.#observed - 1);
    if (this.#observed < OBSERVED_WRITES) return;
    this.#draw(0);
    this.#active = this.#creditMs >= 0;
  }

  /** A group was written synchronously. */
  wrote(tookMs: number): void {
    if (tookMs <= FREE_MS) return;
    this.#draw(tookMs - FREE_MS + (STALL_FACTOR - 1) * Math.max(0, tookMs - STALL_MS));
    if (this.#creditMs >= 0) return;
    this.#active = false;
    this.#observed = 0;
  }

  #draw(costMs: number): void {
    const now = this.#clock.monotonic();
    this.#creditMs = Math.min(CREDIT_MS, this.#creditMs + (now - this.#countedAt) * CREDIT_SHARE) - costMs;
    this.#countedAt = now;
  }
}
