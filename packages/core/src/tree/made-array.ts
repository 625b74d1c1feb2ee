import { beginArray, closeSum, hashKey, lanes, mix, mixItem } from './digest.ts';
import { define, type Value } from './value.ts';

/** An array that is made item by item, with its digest. */
export class MadeArray {
  readonly #items: Value[] = [];
  /** The digest of the array as far as it is read. */
  #lo: number;
  #hi: number;

  constructor(length: number) {
    beginArray(length);
    this.#lo = lanes.lo;
    this.#hi = lanes.hi;
  }

  add(_index: string, item: Value, lo: number, hi: number): void {
    this.#items.push(item);
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
