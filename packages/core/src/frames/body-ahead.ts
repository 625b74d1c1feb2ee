import { ARRAY, DOUBLE, HAS_AUTHOR, HAS_MESSAGE, HAS_TIME, NEGATIVE, OBJECT, ONE_OPERATION, TEXT, WHOLE } from './binary-format.ts';
import { hashKeyBytes, lanes } from '../tree/digest.ts';

/** The most keys that it finds in one look. */
const MOST_KEYS = 64;

/**
 * Looks through the next change sets of a binary body for keys that they name below one node, without reading them into
 * anything. What it finds is a hint: it stops at whatever is not a small value, and checks nothing.
 */
export class BodyAhead {
  /** Low lanes of the keys' hashes. */
  readonly hashes = new Int32Array(MOST_KEYS);
  #body: Uint8Array = new Uint8Array();
  #at = 0;

  /**
   * @param node by the dictionary's number
   * @returns how many keys it found
   */
  look(body: Uint8Array, at: number, changeSets: number, node: number): number {
    this.#body = body;
    this.#at = at;
    let found = 0;
    for (let left = changeSets; left > 0 && this.#at < body.length && this.#head(); left--) {
      let named = this.#varint();
      while (named === 0) {
        const parent = this.#varint();
        if (parent === 0 || found === MOST_KEYS) return found;
        if (this.#varint() === 0) {
          const end = this.#varint() + this.#at;
          if (end > body.length) return found;
          if (parent === node) {
            hashKeyBytes(body, this.#at, end);
            this.hashes[found++] = lanes.lo;
          }
          this.#at = end;
        }
        named = this.#varint();
      }
      if (this.#varint() === 0) this.#skipText();
      if (!this.#skipValue()) break;
    }
    return found;
  }

  /** @returns whether the change set has one operation */
  #head(): boolean {
    const flags = this.#body[this.#at++]!;
    if ((flags & HAS_TIME) !== 0) this.#varint();
    if ((flags & HAS_AUTHOR) !== 0) this.#skipText();
    if ((flags & HAS_MESSAGE) !== 0) this.#skipText();
    return (flags & ONE_OPERATION) !== 0;
  }

  /** @returns false for an object or an array */
  #skipValue(): boolean {
    const tag = this.#body[this.#at++]!;
    if (tag === OBJECT || tag === ARRAY) return false;
    if (tag === WHOLE || tag === NEGATIVE) this.#varint();
    else if (tag === DOUBLE) this.#at += 8;
    else if (tag === TEXT) this.#skipText();
    return true;
  }

  #skipText(): void {
    const length = this.#varint();
    this.#at += length;
  }

  /** 0 behind the body's end. */
  #varint(): number {
    const body = this.#body;
    let byte = body[this.#at++] ?? 0;
    let value = byte & 127;
    for (let weight = 128; byte > 127; weight *= 128) {
      byte = body[this.#at++] ?? 0;
      value += (byte & 127) * weight;
    }
    return value;
  }
}
