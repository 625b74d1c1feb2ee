/**
 * How much the site has to work until the thread goes on, as a multiple of what the thread has worked. Its lowest
 * priority is not enough: what it reads and builds takes cache, memory and disk from a site that has no processor to
 * spare. The index falls behind then, and questions read the journal for what it lacks.
 */
const REST_FACTOR = 24;
/** After so many times what the thread has worked it goes on even if the site has worked less: a 101st of the time. */
const LONGEST_REST_FACTOR = 100;
/** The site writes fast from so many change sets a millisecond on. With fewer it leaves a processor enough time. */
const FAST_PER_MS = 32;
/** A site that writes asks at least so often, in milliseconds. */
const ASKED_EVERY_MS = 1_000;

/**
 * Lets the thread that builds an index take at most a 25th of the processor's time that its site takes, while the site
 * writes fast, and at least a 101st of the time. A 25th of the time that passes would be too much where many sites share a
 * processor. Pure: times are the
 * caller's, in milliseconds; `site` counts the processor's time of the whole process.
 */
export class BuildingPace {
  /** What the site asked for last, and when. */
  #last: { readonly revision: number; readonly time: number } | undefined;
  /** Until then the site counts as one that writes fast. */
  #fastUntil = -Infinity;
  /** The thread rests until the site has worked so much, and until this time at most. */
  #restUntil = { site: -Infinity, time: -Infinity };

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

  /** @param workedMs the processor's time that the thread took since its last rest */
  worked(workedMs: number, now: number, site: number): void {
    this.#restUntil = { site: site + workedMs * REST_FACTOR, time: now + workedMs * LONGEST_REST_FACTOR };
  }

  rests(now: number, site: number): boolean {
    return site < this.#restUntil.site && now < Math.min(this.#restUntil.time, this.#fastUntil);
  }
}
