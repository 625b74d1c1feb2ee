import { releaseMemory } from './memory.ts';

/** 8 MiB of frames have fewer than 3M paths, keys or texts. */
export const NUMBER_BITS = 22;
export const NUMBER_MASK = (1 << NUMBER_BITS) - 1;

/**
 * Finds a number by its hash: open addressing, at most half full. A place has the bits of a number, and above them the
 * upper bits of its hash: four bytes, since most of the time goes to fetching them from memory.
 */
export class NumberTable {
  #slots: Int32Array<ArrayBuffer>;
  #count = 0;
  readonly #hashOf: (number: number) => number;

  /** @param expected how many it is made for; it grows beyond that */
  constructor(expected: number, hashOf: (number: number) => number) {
    this.#slots = new Int32Array(1 << Math.max(8, 33 - Math.clz32(expected)));
    this.#hashOf = hashOf;
  }

  /** Where to look first. Then come the places that `next` gives, until one is empty. */
  place(hash: number): number {
    return hash & (this.#slots.length - 1);
  }

  next(place: number): number {
    return (place + 1) & (this.#slots.length - 1);
  }

  isEmpty(place: number): boolean {
    return this.#slots[place] === 0;
  }

  /** The number at a place; 0 if it has another hash. */
  at(place: number, hash: number): number {
    const slot = this.#slots[place]!;
    return (slot ^ hash) >>> NUMBER_BITS === 0 ? slot & NUMBER_MASK : 0;
  }

  /** Puts a number into an empty place that was found for its hash. */
  put(place: number, hash: number, number: number): void {
    this.#slots[place] = (hash & ~NUMBER_MASK) | number;
    if (++this.#count * 2 > this.#slots.length) this.#grow();
  }

  /** Gives the memory back. Nothing may be asked afterwards. */
  release(): void {
    releaseMemory(this.#slots);
  }

  #grow(): void {
    const slots = this.#slots;
    this.#slots = new Int32Array(slots.length * 2);
    for (const slot of slots) {
      if (slot === 0) continue;
      let place = this.place(this.#hashOf(slot & NUMBER_MASK));
      while (this.#slots[place] !== 0) place = this.next(place);
      this.#slots[place] = slot;
    }
    releaseMemory(slots);
  }
}

/** Spreads numbers over all bits of a hash. */
export function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}
