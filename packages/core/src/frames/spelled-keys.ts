import { lanes } from '../tree/digest.ts';
import { keyCache } from './key-cache.ts';

/** Keys in one page, as a power of two: an object may have millions, and a list that grows is copied as a whole. */
const PAGE_BITS = 12;
const PAGE_KEYS = 1 << PAGE_BITS;
/** Entries of a page for each key: its text and the lanes of its hash; undefined and where it stands until it is asked for. */
const FIELDS = 3;
const LO = 1;
const HI = 2;

/** The dictionary of a body: its keys with their hashes, by number from 1. */
export class SpelledKeys {
  /** The numbers that are taken, with 0. */
  length = 0;
  readonly #body: Buffer;
  #last: KeyPage = [];
  readonly #pages: KeyPage[] = [this.#last];

  constructor(body: Buffer) {
    this.#body = body;
    this.push('', 0, 0);
  }

  /** To be asked for before `lo` and `hi`. It may change `lanes`. */
  text(number: number): string {
    const page = this.#pages[number >>> PAGE_BITS]!;
    const at = (number & (PAGE_KEYS - 1)) * FIELDS;
    return (page[at] as string | undefined) ?? this.#spell(page, at);
  }

  lo(number: number): number {
    return this.#pages[number >>> PAGE_BITS]![(number & (PAGE_KEYS - 1)) * FIELDS + LO] as number;
  }

  hi(number: number): number {
    return this.#pages[number >>> PAGE_BITS]![(number & (PAGE_KEYS - 1)) * FIELDS + HI] as number;
  }

  /** @returns the key's number */
  push(key: string, lo: number, hi: number): number {
    return this.#add(key, lo, hi);
  }

  /** Adds a key that is read over: nobody may ever ask for its text, which costs more than all else about it. */
  pass(start: number, end: number): void {
    this.#add(undefined, start, end);
  }

  #add(key: string | undefined, lo: number, hi: number): number {
    if (this.#last.length === PAGE_KEYS * FIELDS) this.#pages.push((this.#last = []));
    this.#last.push(key, lo, hi);
    return this.length++;
  }

  #spell(page: KeyPage, at: number): string {
    const key = keyCache.read(this.#body, page[at + LO] as number, page[at + HI] as number);
    page[at] = key;
    page[at + LO] = lanes.lo;
    page[at + HI] = lanes.hi;
    return key;
  }
}

type KeyPage = (string | number | undefined)[];
