import type { Boundary, ExactPosition } from '@evertree/core';

/**
 * The ends of the frames that were applied last, and the digests there; the oldest are forgotten. They follow one another
 * without a gap: between two of them nothing ends.
 */
export class RecentFrames {
  readonly #capacity: number;
  #ends: Boundary[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** @param base what the frame follows: if that is not the end of the one before, this site wrote frames of its own between */
  add(base: ExactPosition, position: ExactPosition, digest: string): void {
    if (this.#ends.length > 0 && this.#ends.at(-1)!.position.revision !== base.revision) this.#ends = [];
    this.#ends.push({ position, digest });
    if (this.#ends.length >= 2 * this.#capacity) this.#ends = this.#ends.slice(-this.#capacity);
  }

  /** What ended at this revision; `absent` when nothing did, though frames before and after are remembered. */
  find(revision: number): Boundary | 'absent' | undefined {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]!.position.revision < revision) low = middle + 1;
      else high = middle;
    }
    const end = this.#ends[low];
    if (end?.position.revision === revision) return end;
    return low > 0 && end !== undefined ? 'absent' : undefined;
  }

  clear(): void {
    this.#ends = [];
  }
}
