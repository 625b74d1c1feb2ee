/** Of each path: the path above it, its last key, its node and the frame in which that is its node. Side by side for speed. */
const FIELDS = 4;
const KEY = 1;
const NODE = 2;
const FRAME = 3;

/**
 * The paths of an object's frames. A path is the number of the path above it, and that of its last key; 0 is the root. Of
 * the frame under way it knows which nodes and keys have a number.
 */
export class PathNumbers {
  #paths = new Uint32Array(256 * FIELDS);
  #count = 1;
  /** By key, its number and the frame in which it has it. */
  #keys = new Uint32Array(256);
  /** Counts the frames. */
  #frame = 0;

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
    if (at === this.#paths.length) this.#paths = larger(this.#paths, at);
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

  /** The number of a key in this frame; 0 if it was not spelled yet. */
  keyNumber(key: number): number {
    return this.#keys[key * 2 + 1] === this.#frame ? this.#keys[key * 2]! : 0;
  }

  setKeyNumber(key: number, number: number): void {
    const at = key * 2;
    if (at >= this.#keys.length) this.#keys = larger(this.#keys, at + 1);
    this.#keys[at] = number;
    this.#keys[at + 1] = this.#frame;
  }
}

function larger(numbers: Uint32Array<ArrayBuffer>, index: number): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(Math.max(index + 1, numbers.length * 2));
  grown.set(numbers);
  return grown;
}

/** Spreads numbers over all bits of a hash. */
export function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

/** Finds the number of a path or of a text by what it is made of: open addressing, at most half full. */
export class NumberTable {
  /** At each place a number, 0 if it is empty, and its hash. */
  #slots = new Int32Array(1024);
  #count = 0;

  /** Where to look first. Then come the places that `next` gives, until `at` gives 0. */
  place(hash: number): number {
    return (hash * 2) & (this.#slots.length - 2);
  }

  next(place: number): number {
    return (place + 2) & (this.#slots.length - 2);
  }

  /** The number at a place; 0 if it is empty. */
  at(place: number): number {
    return this.#slots[place]!;
  }

  hasHash(place: number, hash: number): boolean {
    return this.#slots[place + 1] === hash;
  }

  /** Puts a number into an empty place that was found for its hash. */
  put(place: number, hash: number, number: number): void {
    this.#slots[place] = number;
    this.#slots[place + 1] = hash;
    if (++this.#count * 4 > this.#slots.length) this.#grow();
  }

  #grow(): void {
    const slots = this.#slots;
    this.#slots = new Int32Array(slots.length * 2);
    for (let from = 0; from < slots.length; from += 2) {
      if (slots[from] === 0) continue;
      let place = this.place(slots[from + 1]!);
      while (this.#slots[place] !== 0) place = this.next(place);
      this.#slots[place] = slots[from]!;
      this.#slots[place + 1] = slots[from + 1]!;
    }
  }
}
