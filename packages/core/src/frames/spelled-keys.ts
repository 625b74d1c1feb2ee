/** Keys in one page, as a power of two: an object may have millions, and a list that grows is copied as a whole. */
const PAGE_BITS = 12;
const PAGE_KEYS = 1 << PAGE_BITS;
/** Entries of a page for each key: its text and the lanes of its hash. */
const FIELDS = 3;
const LO = 1;
const HI = 2;

/** The dictionary of a body: its keys with their hashes, by number from 1. */
export class SpelledKeys {
  /** The numbers that are taken, with 0. */
  length = 0;
  #last: (string | number)[] = [];
  readonly #pages: (string | number)[][] = [this.#last];

  constructor() {
    this.push('', 0, 0);
  }

  text(number: number): string {
    return this.#pages[number >>> PAGE_BITS]![(number & (PAGE_KEYS - 1)) * FIELDS] as string;
  }

  lo(number: number): number {
    return this.#pages[number >>> PAGE_BITS]![(number & (PAGE_KEYS - 1)) * FIELDS + LO] as number;
  }

  hi(number: number): number {
    return this.#pages[number >>> PAGE_BITS]![(number & (PAGE_KEYS - 1)) * FIELDS + HI] as number;
  }

  /** @returns the key's number */
  push(key: string, lo: number, hi: number): number {
    if (this.#last.length === PAGE_KEYS * FIELDS) this.#pages.push((this.#last = []));
    this.#last.push(key, lo, hi);
    return this.length++;
  }
}
