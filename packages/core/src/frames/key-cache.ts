import { hashKey } from '../tree/digest.ts';
import { isSpelled } from '../tree/spelled-key.ts';

/** Keys of more bytes than this are not kept. */
const LONGEST_BYTES = 40;
/** The first and the largest number of slots, powers of two. Most of the strings in them are also keys of the tree. */
const FIRST_PLACES = 4_096;
const MOST_PLACES = 1_048_576;
/** Slots are made as they are needed, so many at once: all of the most together take 6 to 20 ms. A power of two. */
const PAGE_PLACES = 4_096;
const PAGE_BITS = 12;

/** A page of slots, each with a key. */
type Page = (string | undefined)[];

/**
 * Keys of recent frames, by their bytes. Each frame spells its keys anew, and making a string that V8 compares by
 * address costs ten times as much as finding it here. Measured, this saves a third of applying a frame with many keys.
 */
class KeyCache {
  #pages: (Page | undefined)[] = [emptyPage()];
  #places = FIRST_PLACES;
  /** 1 for each slot whose string is V8's own copy. */
  #isInternal = new Uint8Array(FIRST_PLACES);
  /** How many keys replaced others in their slots since the cache last grew. */
  #pushed = 0;

  /** The key that `bytes` spell from `start` to `end`; its hash is left in `lanes`. */
  read(bytes: Buffer, start: number, end: number): string {
    const key = this.find(bytes, start, end);
    hashKey(key);
    return key;
  }

  /** As read, without its hash. */
  find(bytes: Buffer, start: number, end: number): string {
    if (end - start > LONGEST_BYTES) return bytes.toString('utf8', start, end);
    let place = end - start;
    for (let at = start; at < end; at++) place = Math.imul(place ^ bytes[at]!, 0x0100_0193);
    place = (place ^ (place >>> 15)) & (this.#places - 1);
    const page = (this.#pages[place >>> PAGE_BITS] ??= emptyPage());
    const known = page[place & (PAGE_PLACES - 1)];
    if (known !== undefined && isSpelled(known, bytes, start, end))
      return this.#isInternal[place] === 1 ? known : this.#meetAgain(page, place, known);
    // Most keys of a large object are met once: V8's copy of one costs a microsecond, and all else some 0.1.
    const key = bytes.toString('utf8', start, end);
    page[place & (PAGE_PLACES - 1)] = key;
    this.#isInternal[place] = 0;
    if (known !== undefined && ++this.#pushed > this.#places / 2) this.#grow();
    return key;
  }

  /** A key that comes again will come often. */
  #meetAgain(page: Page, place: number, known: string): string {
    const key = internalize(known);
    page[place & (PAGE_PLACES - 1)] = key;
    this.#isInternal[place] = 1;
    return key;
  }

  /** Doubles the slots. They are empty then, and fill again with the next frames. */
  #grow(): void {
    this.#pushed = 0;
    if (this.#places === MOST_PLACES) return;
    this.#places *= 2;
    this.#pages = Array.from<Page | undefined>({ length: this.#places >>> PAGE_BITS });
    this.#isInternal = new Uint8Array(this.#places);
  }
}

/** Array.from with a length takes ten times as long. */
function emptyPage(): Page {
  const places: Page = [];
  places.length = PAGE_PLACES;
  return places.fill(undefined);
}

export const keyCache = new KeyCache();

/**
 * The key that bytes of UTF-8 spell from `start` to `end`. As a rule it is a string that exists already, which costs
 * less than a new one.
 */
export function keyOfBytes(bytes: Buffer, start: number, end: number): string {
  return keyCache.find(bytes, start, end);
}

/** V8's own copy of a text: comparing it with a key of the tree compares addresses. */
function internalize(text: string): string {
  for (const key in { [text]: 0 }) return key;
  return text;
}
