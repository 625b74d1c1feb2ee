import { beginArray, closeSum, hashKey, lanes, mix, mixItem } from './digest.ts';
import { define, type Value } from './value.ts';

/**
 * An array of so many items or more gets its room at once. One that grows is copied again and again, up to 50 ms at a time
 * with two million items; and one that holds fractions alone is converted when it is frozen, 40 ms with as many.
 */
const LARGE_ITEMS = 4_096;
/** Beyond so many items V8 would make a dictionary of the room. */
const MOST_ITEMS = 16 * 1024 * 1024;

/** An array that is made item by item, with its digest. */
export class MadeArray {
  readonly #items: Value[] = [];
  #size = 0;
  /** The digest of the array as far as it is read. */
  #lo: number;
  #hi: number;

  /** @param room for so many items is made at once; 0 if the length is not to be believed yet */
  constructor(length: number, room = length) {
    if (room >= LARGE_ITEMS && room <= MOST_ITEMS) {
      // Room for anything, not for fractions alone.
      this.#items.push(null);
      this.#items.length = room;
    }
    beginArray(length);
    this.#lo = lanes.lo;
    this.#hi = lanes.hi;
  }

  add(_index: string, item: Value, lo: number, hi: number): void {
    this.#items[this.#size++] = item;
    lanes.lo = lo;
    lanes.hi = hi;
    mixItem(this.#lo, this.#hi);
    this.#lo = lanes.lo;
    this.#hi = lanes.hi;
  }

  close(): Value {
    lanes.lo = this.#lo;
    lanes.hi = this.#hi;
    return Object.freeze(this.#items);
  }
}

/** An object inside an array, made likewise: a value, and no node. */
export class MadeObject {
  readonly #object: { [key: string]: Value } = {};
  #lo = 0;
  #hi = 0;

  add(key: string, child: Value, lo: number, hi: number): void {
    define(this.#object, key, child);
    hashKey(key);
    const { lo: keyLo, hi: keyHi } = lanes;
    lanes.lo = lo;
    lanes.hi = hi;
    mix(keyLo, keyHi);
    this.#lo = (this.#lo + lanes.lo) | 0;
    this.#hi = (this.#hi + lanes.hi) | 0;
  }

  close(): Value {
    closeSum(this.#lo, this.#hi);
    return Object.freeze(this.#object);
  }
}
