import type { Random } from '@evertree/core';

/** A seeded source of randomness (xorshift32). Each part of a world has one of its own, so that leaving out one part's
 * events changes nothing for the others. */
export class Chance implements Random {
  #state: number;

  constructor(seed: number, name = '') {
    let state = seed >>> 0;
    for (const character of name) state = Math.imul(state ^ character.charCodeAt(0), 0x9e37_79b1) >>> 0;
    // Neighbouring seeds must not begin alike, and xorshift never leaves zero.
    state = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2_ae35);
    this.#state = (state ^ (state >>> 16)) >>> 0 || 1;
  }

  fraction(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state / 0x1_0000_0000;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.fraction() * 256));
  }

  /** An integer from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.fraction() * end);
  }

  between(least: number, most: number): number {
    return least + this.fraction() * (most - least);
  }

  happens(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}
