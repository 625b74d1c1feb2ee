/** Keys in one page, as a power of two: a body may have millions, and a list that grows is copied as a whole. */
const PAGE_BITS = 12;
const PAGE_KEYS = 1 << PAGE_BITS;

/** Where the keys stand in a body that it spelled, by their numbers from 1. */
export class KeyPlaces {
  /** The numbers that are taken, with 0. */
  length = 0;
  /** Start and end of each key in turn. */
  #last: number[] = [];
  readonly #pages: number[][] = [this.#last];

  constructor() {
    this.push(0, 0);
  }

  /** @returns the key's number */
  push(start: number, end: number): number {
    if (this.#last.length === 2 * PAGE_KEYS) this.#pages.push((this.#last = []));
    this.#last.push(start, end);
    return this.length++;
  }

  start(number: number): number {
    return this.#pages[number >>> PAGE_BITS]![2 * (number & (PAGE_KEYS - 1))]!;
  }

  end(number: number): number {
    return this.#pages[number >>> PAGE_BITS]![2 * (number & (PAGE_KEYS - 1)) + 1]!;
  }
}
