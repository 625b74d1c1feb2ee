import { releaseMemory } from './memory.ts';
import { NUMBER_BITS, NUMBER_MASK } from './number-table.ts';

/**
 * Of each path one record, which lies within a line of the processor's cache, because most of the time goes to fetching
 * it from memory: the path above it, its last key, its node, the path right below that was found last, the number that
 * was put there last, as a double, which keys paths below it have, and where a value was put last.
 */
const FIELDS = 8;
const KEY = 1;
/** The number of the node and of all nodes of the frames before. */
const NODE = 2;
/** With the lowest bits of its key above it. */
const BELOW = 3;
const DOUBLES = FIELDS / 2;
/** The number, in doubles from the record's beginning. NaN where none was put. */
const VALUE = 2;
/** A bit for each key of a path right below, by the lowest bits of the key. */
const KEYS_BELOW = 6;
/** Plus 1; 0 where none was. */
const PUT = 7;
/** What `ordered` keeps in the places of what a reader needs no more. */
const LAST_BELOW = NODE;
const SIZE = BELOW;
const NEXT_PLACE = KEYS_BELOW;

/**
 * Of each key: its number, the frame in which it has it, and, of a writer, the path with this last key that was found
 * last; of a reader, where the key stands in its column, and its length.
 */
const KEY_FIELDS = 4;
const KEY_FRAME = 1;
const KEY_PATH = 2;
const KEY_START = 2;
const KEY_LENGTH = 3;

/** So many paths are fetched at once: the processor then waits for all of them together. */
export const FETCHED_PATHS = 16;
/** Of each the records above it, too. Most operations need no more of them. */
const FETCHED_LEVELS = 4;

/** Of the key of the path below another one that was found last. Above them its record has the path's number. */
const KEY_MASK = (1 << (32 - NUMBER_BITS)) - 1;

/**
 * The paths of an object's frames. A path is the number of the path above it, and that of its last key; 0 is the root. Of
 * the frame under way it knows which nodes and keys have a number.
 */
export class PathNumbers {
  #paths: Uint32Array<ArrayBuffer>;
  /** The same memory. */
  #values: Float64Array<ArrayBuffer>;
  #count = 1;
  #keys = new Uint32Array(256 * KEY_FIELDS);
  #keyCount = 0;
  /** Counts the frames. */
  #frame = 0;
  /** Of the frames before. */
  #nodesBefore = 0;
  #most = 0;
  readonly #fetched = new Uint32Array(FETCHED_PATHS);

  /** @param expected how many paths it is made for, besides the root; it grows beyond that */
  constructor(expected: number) {
    this.#paths = new Uint32Array((1 + expected) * FIELDS);
    this.#values = new Float64Array(this.#paths.buffer);
    this.#values[VALUE] = NaN;
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
    if (at >= this.#paths.length) {
      this.#paths = larger(this.#paths, at + FIELDS - 1);
      this.#values = new Float64Array(this.#paths.buffer);
    }
    this.#paths[at] = parent;
    this.#paths[at + KEY] = key;
    this.#values[path * DOUBLES + VALUE] = NaN;
    this.#paths[parent * FIELDS + KEYS_BELOW]! |= 1 << (key & 31);
    return path;
  }

  parent(path: number): number {
    return this.#paths[path * FIELDS]!;
  }

  key(path: number): number {
    return this.#paths[path * FIELDS + KEY]!;
  }

  /** Whether a path right below another one may have this last key. If not, no table need be asked. */
  mayHave(parent: number, key: number): boolean {
    return ((this.#paths[parent * FIELDS + KEYS_BELOW]! >>> (key & 31)) & 1) !== 0;
  }

  is(path: number, parent: number, key: number): boolean {
    return this.#paths[path * FIELDS] === parent && this.#paths[path * FIELDS + KEY] === key;
  }

  /** The number that was put at a path last; NaN if none was. */
  value(path: number): number {
    return this.#values[path * DOUBLES + VALUE]!;
  }

  setValue(path: number, value: number): void {
    this.#values[path * DOUBLES + VALUE] = value;
  }

  /** Remembers where the value stands that was put at a path last. */
  setPut(path: number, at: number): void {
    this.#paths[path * FIELDS + PUT] = at + 1;
  }

  /**
   * Puts all paths but the root in an order: each before those below it, and these together, by their numbers. It finds
   * out, too, how many those are, and where the last value stands that was put there. Nodes are gone afterwards.
   */
  ordered(): Uint32Array<ArrayBuffer> {
    // One method for each loop: what V8 makes of the first one while it runs knows nothing of the second.
    this.#measure();
    return this.#placed();
  }

  #measure(): void {
    const paths = this.#paths;
    for (let path = this.#count - 1, at = path * FIELDS; path > 0; path--, at -= FIELDS) {
      // Those below have been met. A reader leaves this field alone until then.
      if (paths[at + SIZE] === 0) paths[at + LAST_BELOW] = 0;
      const above = paths[at]! * FIELDS;
      const size = ++paths[at + SIZE]!;
      const put = paths[at + PUT]!;
      const below = paths[at + LAST_BELOW]!;
      const last = put > below ? put : below;
      if (paths[above + SIZE] === 0 || last > paths[above + LAST_BELOW]!) paths[above + LAST_BELOW] = last;
      paths[above + SIZE]! += size;
    }
  }

  #placed(): Uint32Array<ArrayBuffer> {
    const paths = this.#paths;
    const order = new Uint32Array(this.#count - 1);
    paths[NEXT_PLACE] = 0;
    for (let path = 1, at = FIELDS; path < this.#count; path++, at += FIELDS) {
      const above = paths[at]! * FIELDS;
      const place = paths[above + NEXT_PLACE]!;
      paths[above + NEXT_PLACE] = place + paths[at + SIZE]!;
      paths[at + NEXT_PLACE] = place + 1;
      order[place] = path;
    }
    return order;
  }

  /** How many paths are at and below one, after `ordered`. */
  size(path: number): number {
    return this.#paths[path * FIELDS + SIZE]!;
  }

  /** Where the last value that was put below stands, plus 1, after `ordered`; 0 for none. */
  lastBelow(path: number): number {
    return this.#paths[path * FIELDS + LAST_BELOW]!;
  }

  /** Where the value stands that was put at a path last, plus 1; 0 where none was. */
  put(path: number): number {
    return this.#paths[path * FIELDS + PUT]!;
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

  /**
   * Reads the records of paths that are needed soon, and of those above them. One after the other, each operation would
   * wait for memory four times.
   * @param codes the numbers of paths, each plus 1; those from `start` to `end`, at most FETCHED_PATHS
   */
  fetch(codes: Uint32Array, start: number, end: number): void {
    const paths = this.#paths;
    const fetched = this.#fetched;
    const count = end - start;
    for (let index = 0; index < count; index++) {
      const code = codes[start + index]!;
      fetched[index] = code === 0 || code > this.#count ? 0 : (code - 1) * FIELDS;
    }
    for (let level = 0; level < FETCHED_LEVELS; level++) {
      for (let index = 0; index < count; index++) fetched[index] = paths[fetched[index]!]! * FIELDS;
    }
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

  /** How many keys have a place. */
  get keyCount(): number {
    return this.#keyCount;
  }

  /** @returns the number of the key that stands there in its column */
  addKey(start: number, length: number): number {
    const key = ++this.#keyCount;
    const at = key * KEY_FIELDS;
    if (at >= this.#keys.length) this.#keys = larger(this.#keys, at + KEY_FIELDS);
    this.#keys[at + KEY_START] = start;
    this.#keys[at + KEY_LENGTH] = length;
    return key;
  }

  keyStart(key: number): number {
    return this.#keys[key * KEY_FIELDS + KEY_START]!;
  }

  keyLength(key: number): number {
    return this.#keys[key * KEY_FIELDS + KEY_LENGTH]!;
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
