import { releaseMemory } from './memory.ts';

/**
 * Of each path: the path above it, its last key, its node, and the path right below that was found last. Side by side,
 * since most of the time goes to fetching them from memory.
 */
const FIELDS = 4;
const KEY = 1;
/** The number of the node and of all nodes of the frames before. */
const NODE = 2;
/** With the lowest bits of its key above it. */
const BELOW = 3;

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
  /** Of the frames before. */
  #nodesBefore = 0;
  #most = 0;

  /** @param expected how many paths it is made for, besides the root; it grows beyond that */
  constructor(expected: number) {
    this.#paths = new Uint32Array((1 + expected) * FIELDS);
  }

  beginFrame(): void {
    this.#frame++;
    this.#nodesBefore = this.#most;
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
    const node = this.#paths[path * FIELDS + NODE]!;
    return node > this.#nodesBefore ? node - this.#nodesBefore : 0;
  }

  setNode(path: number, node: number): void {
    const its = this.#nodesBefore + node;
    this.#paths[path * FIELDS + NODE] = its;
    if (its > this.#most) this.#most = its;
  }

  /** How many nodes, this one and those above it, have to be defined before this one has a number. */
  lacking(path: number): number {
    const paths = this.#paths;
    let count = 0;
    for (let at = path * FIELDS; paths[at + NODE]! <= this.#nodesBefore; at = paths[at]! * FIELDS) count++;
    return count;
  }

  /** The path below another one, if it is that which was found last there or with this key; 0 if it may be another. */
  recent(parent: number, key: number): number {
    const withKey = this.#keys[key * KEY_FIELDS + KEY_PATH];
    if (withKey !== undefined && withKey !== 0 && this.#paths[withKey * FIELDS] === parent) return withKey;
    const below = this.#paths[parent * FIELDS + BELOW]!;
    const path = below & NUMBER_MASK;
    return below >>> NUMBER_BITS === (key & KEY_MASK) && this.#paths[path * FIELDS + KEY] === key ? path : 0;
  }

  setRecent(path: number, parent: number, key: number): void {
    this.#paths[parent * FIELDS + BELOW] = ((key & KEY_MASK) << NUMBER_BITS) | path;
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

export function larger<T extends Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(numbers: T, index: number): T {
  const grown = new (numbers.constructor as new (length: number) => T)(Math.max(index + 1, numbers.length * 2));
  grown.set(numbers);
  releaseMemory(numbers);
  return grown;
}

/**
 * A place has the bits of a number, and above them the upper bits of its hash. 8 MiB of frames have fewer than 3M paths,
 * keys or texts.
 */
const NUMBER_BITS = 22;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;
const KEY_MASK = (1 << (32 - NUMBER_BITS)) - 1;

/**
 * Finds a number below 2^22 by its hash: open addressing, at most half full. Four bytes a place, since most of the time
 * goes to fetching them from memory.
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

/** The hash of a path. */
export function pathHash(parent: number, key: number): number {
  return mixed(Math.imul(parent, 0x9e37_79b1) + key);
}

/** Spreads numbers over all bits of a hash. */
export function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}
