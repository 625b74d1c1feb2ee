import { ByteWriter } from '@evertree/core';
import { isKeyOfSegment, writeSegmentKey } from './path-key.ts';

/** The first size of the tables. */
const FIRST_SLOTS = 1_024;
/** The first size of the bytes of all segments. */
const FIRST_BYTES = 16_384;

/**
 * The paths of some frames, each under a number: 0 is the root. A path is known by the number of the path above it and
 * the number of its last segment, so that finding one costs the same at any depth, and makes no string.
 */
export class PathTable {
  readonly segments = new SegmentTable();
  #parents = new Uint32Array(FIRST_SLOTS);
  #segmentOf = new Uint32Array(FIRST_SLOTS);
  /** Path numbers by a hash; 0 is an empty slot, as the root is never looked up. */
  #slots = new Uint32Array(FIRST_SLOTS * 2);
  #count = 1;

  /** How many paths there are, with the root. */
  get count(): number {
    return this.#count;
  }

  /** The number of the path of a segment below a path. */
  child(parent: number, segment: number): number {
    const mask = this.#slots.length - 1;
    let slot = slotOf(parent, segment, mask);
    for (let found = this.#slots[slot]!; found !== 0; found = this.#slots[slot]!) {
      if (this.#parents[found] === parent && this.#segmentOf[found] === segment) return found;
      slot = (slot + 1) & mask;
    }
    return this.#add(parent, segment, slot);
  }

  /** The number of the path above a path. */
  parentOf(path: number): number {
    return this.#parents[path]!;
  }

  /** What a path adds to the key of the path above it. */
  partOf(path: number): Buffer {
    return this.segments.keyOf(this.#segmentOf[path]!);
  }

  /**
   * Calls back for each path in the order of their keys.
   * @param visit is given its number and its key, which is valid during the call only
   */
  forEachInOrder(visit: (path: number, key: Uint8Array, length: number) => void): void {
    const { children, firstChild } = this.#childrenInOrder();
    const { bytes, starts } = this.segments;
    let key = Buffer.allocUnsafeSlow(4_096);
    // The path that is visited, those above it, and how far each is: by depth.
    const next: number[] = [firstChild[0]!];
    const ends: number[] = [firstChild[1]!];
    const lengths: number[] = [0];
    visit(0, key, 0);
    for (let depth = 0; depth >= 0;) {
      if (next[depth] === ends[depth]) {
        depth--;
        continue;
      }
      const path = children[next[depth]!++]!;
      const segment = this.#segmentOf[path]!;
      const end = starts[segment + 1]!;
      let length = lengths[depth]!;
      const needed = length + end - starts[segment]!;
      if (needed > key.length) key = Buffer.concat([key], needed * 2);
      for (let at = starts[segment]!; at < end; at++) key[length++] = bytes[at]!;
      visit(path, key, length);
      depth++;
      next[depth] = firstChild[path]!;
      ends[depth] = firstChild[path + 1]!;
      lengths[depth] = length;
    }
  }

  /** The children of each path in order, those of one path behind those of the one before. */
  #childrenInOrder(): { readonly children: Uint32Array; readonly firstChild: Uint32Array } {
    const count = this.#count;
    const segmentAt = this.segments.inOrder();
    const ranks = new Uint32Array(segmentAt.length);
    for (const [rank, segment] of segmentAt.entries()) ranks[segment] = rank;
    // Two counting sorts: by the rank of the last segment, then by the parent.
    const bySegment = sortedBy(count, segmentAt.length, path => ranks[this.#segmentOf[path]!]!);
    const firstChild = new Uint32Array(count + 1);
    for (let path = 1; path < count; path++) firstChild[this.#parents[path]! + 1]!++;
    for (let path = 0; path < count; path++) firstChild[path + 1]! += firstChild[path]!;
    const next = firstChild.slice();
    const children = new Uint32Array(count - 1);
    for (const path of bySegment) children[next[this.#parents[path]!]!++] = path;
    return { children, firstChild };
  }

  #add(parent: number, segment: number, slot: number): number {
    const path = this.#count++;
    if (path === this.#parents.length) {
      this.#parents = doubled(this.#parents);
      this.#segmentOf = doubled(this.#segmentOf);
    }
    this.#parents[path] = parent;
    this.#segmentOf[path] = segment;
    this.#slots[slot] = path;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return path;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let path = 1; path < this.#count; path++) {
      let slot = slotOf(this.#parents[path]!, this.#segmentOf[path]!, mask);
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = path;
    }
    this.#slots = slots;
  }
}

/** The paths from 1 to below `count`, by a rank below `ranks`. */
function sortedBy(count: number, ranks: number, rankOf: (path: number) => number): Uint32Array {
  const starts = new Uint32Array(ranks + 1);
  for (let path = 1; path < count; path++) starts[rankOf(path) + 1]!++;
  for (let rank = 0; rank < ranks; rank++) starts[rank + 1]! += starts[rank]!;
  const sorted = new Uint32Array(count - 1);
  for (let path = 1; path < count; path++) sorted[starts[rankOf(path)]!++] = path;
  return sorted;
}

function slotOf(parent: number, segment: number, mask: number): number {
  let hash = Math.imul(parent, 0x9e37_79b1) ^ Math.imul(segment + 1, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2_ae35);
  return (hash ^ (hash >>> 13)) & mask;
}

/**
 * Different segments of paths, each under a number from 0. Their bytes stand in one buffer: a buffer for each of them
 * takes half of the time that the index of a wide tree takes.
 */
class SegmentTable {
  /** What they add to the keys of paths, one behind the other. */
  readonly #keys = new ByteWriter(FIRST_BYTES);
  /** Where the part of each begins in `bytes`, and where the last one ends. */
  #starts = new Uint32Array(FIRST_SLOTS);
  /** Of the bytes of each in UTF-8. */
  #hashes = new Uint32Array(FIRST_SLOTS);
  /** Numbers plus 1 by a hash; 0 is an empty slot. */
  #slots = new Uint32Array(FIRST_SLOTS);
  #count = 0;

  get bytes(): Uint8Array {
    return this.#keys.bytes;
  }

  get starts(): Uint32Array {
    return this.#starts;
  }

  /** What a segment adds to the key of a path. */
  keyOf(segment: number): Buffer {
    return this.#keys.bytes.subarray(this.#starts[segment], this.#starts[segment + 1]);
  }

  /** The number of the segment whose UTF-8 is in `bytes` from `start` to `end`. */
  number(bytes: Uint8Array, start: number, end: number): number {
    let hash = end - start;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193);
    hash = (hash ^ (hash >>> 15)) >>> 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let found = this.#slots[slot]!; found !== 0; found = this.#slots[slot]!) {
      const at = this.#starts[found - 1]!;
      if (this.#hashes[found - 1] === hash && isKeyOfSegment(this.#keys.bytes, at, bytes, start, end)) return found - 1;
      slot = (slot + 1) & mask;
    }
    return this.#add(bytes.subarray(start, end), hash, slot);
  }

  /** The numbers in the order of their keys. */
  inOrder(): Uint32Array {
    return sortByKey(this.#keys.bytes, this.#starts, this.#count);
  }

  #add(segment: Uint8Array, hash: number, slot: number): number {
    const number = this.#count++;
    if (this.#count === this.#starts.length) {
      this.#starts = doubled(this.#starts);
      this.#hashes = doubled(this.#hashes);
    }
    writeSegmentKey(this.#keys, segment);
    this.#starts[this.#count] = this.#keys.length;
    this.#hashes[number] = hash;
    this.#slots[slot] = this.#count;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return number;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let number = 0; number < this.#count; number++) {
      let slot = this.#hashes[number]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = number + 1;
    }
    this.#slots = slots;
  }
}

/** Below this many keys a part is sorted by insertion. */
const FEW = 16;

/**
 * The numbers of keys in the order of their bytes: a quicksort by one byte after the other. Comparing whole keys would
 * take several times as long, as most of them begin alike. No key is the beginning of another one.
 * @param starts where each key begins in `bytes`; it ends where the next one begins
 */
function sortByKey(bytes: Uint8Array, starts: Uint32Array, count: number): Uint32Array {
  const order = new Uint32Array(count);
  for (let number = 0; number < count; number++) order[number] = number;
  const parts: { readonly from: number; readonly to: number; readonly depth: number }[] = [{ from: 0, to: count, depth: 0 }];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { from, to, depth } = part;
    if (to - from <= FEW) {
      sortFew(bytes, starts, order, part);
      continue;
    }
    const pivot = bytes[starts[order[from + ((to - from) >>> 1)]!]! + depth]!;
    let low = from;
    let high = to - 1;
    for (let at = from; at <= high;) {
      const number = order[at]!;
      const byte = bytes[starts[number]! + depth]!;
      if (byte < pivot) {
        order[at++] = order[low]!;
        order[low++] = number;
      } else if (byte > pivot) {
        order[at] = order[high]!;
        order[high--] = number;
      } else {
        at++;
      }
    }
    parts.push({ from, to: low, depth }, { from: high + 1, to, depth }, { from: low, to: high + 1, depth: depth + 1 });
  }
  return order;
}

/** Sorts keys that have their first bytes in common. */
function sortFew(
  bytes: Uint8Array,
  starts: Uint32Array,
  order: Uint32Array,
  { from, to, depth }: { readonly from: number; readonly to: number; readonly depth: number },
): void {
  for (let index = from + 1; index < to; index++) {
    const moved = order[index]!;
    const key = starts[moved]! + depth;
    let place = index;
    for (; place > from; place--) {
      const other = starts[order[place - 1]!]! + depth;
      let at = 0;
      while (bytes[other + at] === bytes[key + at]) at++;
      if (bytes[other + at]! < bytes[key + at]!) break;
      order[place] = order[place - 1]!;
    }
    order[place] = moved;
  }
}

function doubled(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}
