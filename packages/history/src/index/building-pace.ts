/**
 * How long the thread rests, as a multiple of what it has worked. Its lowest priority is not enough: what it reads and
 * builds takes cache, memory and disk from a site that has no processor to spare. The index falls behind then, and
 * questions read the journal for what it lacks.
 */
const REST_FACTOR = 24;
/** The site writes fast from so many change sets a millisecond on. With fewer it leaves a processor enough time. */
const FAST_PER_MS = 32;
/** A site that writes asks at least so often, in milliseconds. */
const ASKED_EVERY_MS = 1_000;

/**
 * Lets the thread that builds an index work in at most a 25th of the time while the site writes fast. Pure: times are
 * the caller's, in milliseconds.
 */
export class BuildingPace {
  /** What the site asked for last, and when. */
  #last: { readonly revision: number; readonly time: number } | undefined;
  /** Until then the site counts as one that writes fast. */
  #fastUntil = -Infinity;
  #restUntil = -Infinity;

  /** The site asks to cover what it has written up to a revision. */
  asked(revision: number, now: number): void {
    if (this.#last !== undefined) {
      // A change set is told of within `ASKED_EVERY_MS`: after a longer silence none of the new ones is older than that.
      const withinMs = Math.min(now - this.#last.time, ASKED_EVERY_MS);
      if (revision - this.#last.revision >= FAST_PER_MS * withinMs) this.#fastUntil = now + 2 * ASKED_EVERY_MS;
    }
    this.#last = { revision, time: now };
  }

  /** Somebody waits for the index: no more rests for now. */
  hurry(revision: number, now: number): void {
    this.#last = { revision, time: now };
    this.#fastUntil = now;
  }

  /** @param workedMs the processor's time that the work since the last rest took */
  worked(workedMs: number, now: number): void {
    this.#restUntil = now + workedMs * REST_FACTOR;
  }

  /** How long to rest from now on; 0 where work may go on. */
  restMs(now: number): number {
    return Math.max(0, Math.min(this.#restUntil, this.#fastUntil) - now);
  }
}
