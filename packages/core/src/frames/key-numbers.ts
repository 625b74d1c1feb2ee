import { hashKey, hashKeyBytes, lanes } from '../tree/digest.ts';
import { spelledKey, type TreeNode } from '../tree/node.ts';
import { keyCache } from './key-cache.ts';

/** Numbers of one key: its hash in two lanes, and where it begins and ends in the arena. */
const FIELDS = 4;
const LO = 0;
const HI = 1;
const START = 2;
const END = 3;

const FIRST_KEYS = 1_024;
const FIRST_BYTES = 16 * 1024;

/**
 * Gives the keys of many frames numbers, from 1, by their bytes. What it compares lies in a few flat arrays, and a key
 * becomes a string only when somebody asks for it: finding a key costs a fifth of what it costs to find it in a tree
 * that is larger than the processor's caches.
 */
export class KeyNumbers {
  #count = 0;
  #fields = new Int32Array(FIRST_KEYS * FIELDS);
  #arena: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #used = 0;
  /** The numbers of keys in slots by the hash of their bytes; 0 for an empty slot. At least half of them are empty. */
  #slots = new Int32Array(FIRST_KEYS * 2);
  readonly #texts: (string | undefined)[] = [undefined];

  get count(): number {
    return this.#count;
  }

  /** Bytes of all keys. */
  get bytes(): number {
    return this.#used;
  }

  /** The number of the key that `bytes` spell from `start` to `end`. */
  number(bytes: Uint8Array, start: number, end: number): number {
    hashKeyBytes(bytes, start, end);
    const { lo, hi } = lanes;
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = lo & mask; ; slot = (slot + 1) & mask) {
      const known = slots[slot]!;
      if (known === 0) return this.#add(slot, bytes, start, end, lo, hi);
      if (this.#isKey(known, bytes, start, end)) return known;
    }
  }

  /** Leaves the hash of a key in `lanes`. */
  hash(key: number): void {
    lanes.lo = this.#fields[key * FIELDS + LO]!;
    lanes.hi = this.#fields[key * FIELDS + HI]!;
  }

  /** @param node that may have a child under the key: a wide node gives its own string then */
  text(key: number, node: TreeNode | undefined): string {
    const known = this.#texts[key];
    if (known !== undefined) return known;
    const start = this.#fields[key * FIELDS + START]!;
    const end = this.#fields[key * FIELDS + END]!;
    const text = (node && spelledKey(node, this.#arena, start, end)) ?? keyCache.find(this.#arena, start, end);
    this.#texts[key] = text;
    return text;
  }

  clear(): void {
    this.#count = 0;
    this.#used = 0;
    this.#slots.fill(0);
    this.#texts.length = 1;
  }

  #isKey(key: number, bytes: Uint8Array, start: number, end: number): boolean {
    const fields = this.#fields;
    const from = fields[key * FIELDS + START]!;
    if (fields[key * FIELDS + END]! - from !== end - start) return false;
    const arena = this.#arena;
    for (let at = start, mine = from; at < end; at++, mine++) if (arena[mine] !== bytes[at]) return false;
    return true;
  }

  #add(slot: number, bytes: Uint8Array, start: number, end: number, lo: number, hi: number): number {
    const key = ++this.#count;
    this.#slots[slot] = key;
    if ((key + 1) * FIELDS > this.#fields.length) this.#fields = doubled(this.#fields);
    while (this.#used + end - start > this.#arena.length) this.#growArena();
    const from = this.#used;
    let all = 0;
    for (let at = start; at < end; at++) {
      all |= bytes[at]!;
      this.#arena[this.#used++] = bytes[at]!;
    }
    const fields = this.#fields;
    fields[key * FIELDS + START] = from;
    fields[key * FIELDS + END] = this.#used;
    fields[key * FIELDS + LO] = lo;
    fields[key * FIELDS + HI] = hi;
    this.#texts[key] = undefined;
    if (all > 127) {
      // The hash of the bytes means nothing then.
      hashKey(this.text(key, undefined));
      fields[key * FIELDS + LO] = lanes.lo;
      fields[key * FIELDS + HI] = lanes.hi;
    }
    if (key * 2 > this.#slots.length) this.#spread();
    return key;
  }

  #growArena(): void {
    const larger = Buffer.allocUnsafeSlow(this.#arena.length * 2);
    larger.set(this.#arena.subarray(0, this.#used));
    this.#arena = larger;
  }

  #spread(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let key = 1; key <= this.#count; key++) {
      hashKeyBytes(this.#arena, this.#fields[key * FIELDS + START]!, this.#fields[key * FIELDS + END]!);
      let slot = lanes.lo & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = key;
    }
    this.#slots = slots;
  }
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
