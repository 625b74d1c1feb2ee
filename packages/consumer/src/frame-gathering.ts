import type { Clock } from '@evertree/core';

/** The most bytes of frames that are applied together, in one turn of the event loop. */
export const TOGETHER_BYTES = 4 * 1024 * 1024;

/**
 * Tells when enough frames have come to be applied together: so many bytes, or all that came before a turn of the event
 * loop that brought none. It is used only by a secondary that is far behind: there nobody waits for a single frame.
 */
export class FrameGathering {
  readonly #clock: Clock;
  readonly #farBehind: number;
  readonly #ready: () => void;
  #bytes = 0;
  #awaitsMore = false;

  /**
   * @param farBehind that of the limits
   * @param ready calls `end`
   */
  constructor(clock: Clock, farBehind: number, ready: () => void) {
    this.#clock = clock;
    this.#farBehind = farBehind;
    this.#ready = ready;
  }

  /** Frames wait for others. */
  get isUnderWay(): boolean {
    return this.#bytes > 0;
  }

  /**
   * A frame came.
   * @param behind revisions by which this site is behind where the primary was when the link began
   * @returns whether `ready` is called for it, now or later; false if it shall not wait
   */
  add(bytes: number, behind: number): boolean {
    if (behind <= this.#farBehind) return false;
    this.#bytes += bytes;
    if (this.#bytes >= TOGETHER_BYTES) this.#ready();
    else if (!this.#awaitsMore) this.#awaitMore();
    return true;
  }

  /** Those that came are taken. */
  end(): void {
    this.#bytes = 0;
  }

  #awaitMore(): void {
    this.#awaitsMore = true;
    const before = this.#bytes;
    this.#clock.soon(() => {
      this.#awaitsMore = false;
      if (this.#bytes === 0) return;
      if (this.#bytes === before) this.#ready();
      else this.#awaitMore();
    });
  }
}
