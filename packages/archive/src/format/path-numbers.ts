import { releaseMemory } from './memory.ts';

/**
 * Of each path: the path above it, its last key, its node and the frame in which that is its node; the path right below
 * that was found last, and its key. Side by side, since most of the time goes to fetching them from memory.
 */
const FIELDS = 8;
const KEY = 1;
const NODE = 2;
const FRAME = 3;
const BELOW = 4;
const KEY_BELOW = 5;

/** Of each key: its number, the frame in which it has it, and the path with this last key that was found last. */
const KEY_FIELDS = 4;
const KEY_FRAME = 1;
const KEY_PATH = 2;

/**
 * The paths of an object's frames. A path is the number of the path above it, and that of its last key; 0 is the root. Of
 * the frame under way it knows which nodes and keys have a number.
 */
export class PathNumbers {
  #paths: Uint32Array<ArrayBuffer>;
  #count = 1;
  #keys = new Uint32Array(256 * KEY_FIELDS);
  /** Counts the frames. */
  #frame = 0;

  /** @param expected how many paths it is made for, besides the root; it grows beyond that */
  constructor(expected: number) {
    this.#paths = new Uint32Array((1 + expected) * FIELDS);
  }

  beginFrame(): void {
    this.#frame++;
    this.setNode(0, 1);
  }

  get count(): number {
    return this.#count;
  }

  /** @returns the number of the new path */
  add(parent: number, key: number): number {
    const path = this.#count++;
    const at = path * FIELDS;
    if (at >= this.#paths.length) this.#paths = larger(this.#paths, at);
    this.#paths[at] = parent;
    this.#paths[at + KEY] = key;
    return path;
  }

  parent(path: number): number {
    return this.#paths[path * FIELDS]!;
  }

  key(path: number): number {
    return this.#paths[path * FIELDS + KEY]!;
  }

  /** The number of the node in this frame; 0 if it has none. */
  node(path: number): number {
    const at = path * FIELDS;
    return this.#paths[at + FRAME] === this.#frame ? this.#paths[at + NODE]! : 0;
  }

  setNode(path: number, node: number): void {
    const at = path * FIELDS;
    this.#paths[at + NODE] = node;
    this.#paths[at + FRAME] = this.#frame;
  }

  /** How many nodes, this one and those above it, have to be defined before this one has a number. */
  lacking(path: number): number {
    const paths = this.#paths;
    let count = 0;
    for (let at = path * FIELDS; paths[at + FRAME] !== this.#frame; at = paths[at]! * FIELDS) count++;
    return count;
  }

  /** The path below another one, if it is that which was found last there or with this key; 0 if it may be another. */
  recent(parent: number, key: number): number {
    const withKey = this.#keys[key * KEY_FIELDS + KEY_PATH];
    if (withKey !== undefined && withKey !== 0 && this.#paths[withKey * FIELDS] === parent) return withKey;
    const at = parent * FIELDS;
    return this.#paths[at + KEY_BELOW] === key ? this.#paths[at + BELOW]! : 0;
  }

  setRecent(path: number, parent: number, key: number): void {
    const at = parent * FIELDS;
    this.#paths[at + BELOW] = path;
    this.#paths[at + KEY_BELOW] = key;
    this.#keys[key * KEY_FIELDS + KEY_PATH] = path;
  }

  /** The number of a key in this frame; 0 if it was not spelled yet. */
  keyNumber(key: number): number {
    const at = key * KEY_FIELDS;
    return this.#keys[at + KEY_FRAME] === this.#frame ? this.#keys[at]! : 0;
  }

  setKeyNumber(key: number, number: number): void {
    const at = key * KEY_FIELDS;
    if (at >= this.#keys.length) this.#keys = larger(this.#keys, at + KEY_FIELDS);
    this.#keys[at] = number;
    this.#keys[at + KEY_FRAME] = this.#frame;
  }

  /** Gives the memory back. Nothing may be asked afterwards. */
  release(): void {
    releaseMemory(this.#paths);
    releaseMemory(this.#keys);
  }
}

function larger(numbers: Uint32Array<ArrayBuffer>, index: number): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(Math.max(index + 1, numbers.length * 2));
  grown.set(numbers);
  releaseMemory(numbers);
  return grown;
}

/** At each place of a NumberTable: a number, 0 if the place is empty, and what it is the number of. */
const SLOT = 4;

/** Finds a number by two others that belong to it, in one place of memory: open addressing, at most half full. */
export class NumberTable {
  #slots: Int32Array<ArrayBuffer>;
  #count = 0;

  /** @param expected how many it is made for; it grows beyond that */
  constructor(expected: number) {
    this.#slots = new Int32Array(SLOT << Math.max(8, 33 - Math.clz32(expected)));
  }

  /** Where to look first. Then come the places that `next` gives, until `at` gives 0. */
  place(first: number, second: number): number {
    return (mixed(Math.imul(first, 0x9e37_79b1) + second) << 2) & (this.#slots.length - SLOT);
  }

  next(place: number): number {
    return (place + SLOT) & (this.#slots.length - SLOT);
  }

  /** The number at a place; 0 if it is empty. */
  at(place: number): number {
    return this.#slots[place]!;
  }

  /** Whether the number at a place is that of two others. */
  has(place: number, first: number, second: number): boolean {
    return this.#slots[place + 1] === first && this.#slots[place + 2] === second;
  }

  /** Puts a number into an empty place that was found for two others. */
  put(place: number, number: number, first: number, second: number): void {
    this.#slots[place] = number;
    this.#slots[place + 1] = first;
    this.#slots[place + 2] = second;
    if (++this.#count * 2 * SLOT > this.#slots.length) this.#grow();
  }

  /** Gives the memory back. Nothing may be asked afterwards. */
  release(): void {
    releaseMemory(this.#slots);
  }

  #grow(): void {
    const slots = this.#slots;
    this.#slots = new Int32Array(slots.length * 2);
    for (let from = 0; from < slots.length; from += SLOT) {
      if (slots[from] === 0) continue;
      let place = this.place(slots[from + 1]!, slots[from + 2]!);
      while (this.#slots[place] !== 0) place = this.next(place);
      this.#slots.set(slots.subarray(from, from + SLOT), place);
    }
    releaseMemory(slots);
  }
}

/** Spreads numbers over all bits of a hash. */
function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}
