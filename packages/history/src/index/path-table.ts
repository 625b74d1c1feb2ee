import { compareKeys, segmentKeyOf } from './path-key.ts';

/** The first size of the tables. */
const FIRST_SLOTS = 1_024;

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
  partOf(path: number): Uint8Array {
    return this.segments.keys[this.#segmentOf[path]!]!;
  }

  /**
   * Calls back for each path in the order of their keys.
   * @param visit is given its number and its key, which is valid during the call only
   */
  forEachInOrder(visit: (path: number, key: Uint8Array, length: number) => void): void {
    const { children, firstChild } = this.#childrenInOrder();
    let key = Buffer.allocUnsafeSlow(4_096);
    // The path that is visited, those above it, and how far each is: by depth.
    const next: number[] = [firstChild[0]!];
    const end: number[] = [firstChild[1]!];
    const lengths: number[] = [0];
    visit(0, key, 0);
    for (let depth = 0; depth >= 0;) {
      if (next[depth] === end[depth]) {
        depth--;
        continue;
      }
      const path = children[next[depth]!++]!;
      const part = this.partOf(path);
      const start = lengths[depth]!;
      const length = start + part.length;
      if (length > key.length) key = Buffer.concat([key], length * 2);
      for (let at = 0; at < part.length; at++) key[start + at] = part[at]!;
      visit(path, key, length);
      depth++;
      next[depth] = firstChild[path]!;
      end[depth] = firstChild[path + 1]!;
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

/** Different segments of paths, each under a number from 0. */
class SegmentTable {
  /** What each adds to the key of a path. */
  readonly keys: Buffer[] = [];
  /** Numbers plus 1 by a hash of the bytes; 0 is an empty slot. */
  #slots = new Uint32Array(FIRST_SLOTS);
  /** Their bytes in UTF-8. */
  readonly #texts: Uint8Array[] = [];
  readonly #hashes: number[] = [];

  /** The number of the segment whose UTF-8 is in `bytes` from `start` to `end`. */
  number(bytes: Uint8Array, start: number, end: number): number {
    let hash = end - start;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193);
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let found = this.#slots[slot]!; found !== 0; found = this.#slots[slot]!) {
      if (this.#hashes[found - 1] === hash && isSame(this.#texts[found - 1]!, bytes, start, end)) return found - 1;
      slot = (slot + 1) & mask;
    }
    const text = new Uint8Array(end - start);
    for (let at = start; at < end; at++) text[at - start] = bytes[at]!;
    this.#texts.push(text);
    this.#hashes.push(hash);
    this.keys.push(segmentKeyOf(text));
    this.#slots[slot] = this.keys.length;
    if (this.keys.length * 2 > this.#slots.length) this.#rehash();
    return this.keys.length - 1;
  }

  /** The numbers in the order of their keys. */
  inOrder(): Uint32Array {
    return sortByKey(this.keys);
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (const [number, hash] of this.#hashes.entries()) {
      let slot = hash & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = number + 1;
    }
    this.#slots = slots;
  }
}

function isSame(text: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let at = 0; at < text.length; at++) if (text[at] !== bytes[start + at]) return false;
  return true;
}

/** Below this many keys a part is sorted by insertion. */
const FEW = 16;

/**
 * The numbers of keys in the order of their bytes: a quicksort by one byte after the other. Comparing whole keys would
 * take several times as long, as most of them begin alike.
 */
function sortByKey(keys: readonly Uint8Array[]): Uint32Array {
  const order = Uint32Array.from(keys, (_, index) => index);
  const byteAt = (index: number, depth: number) => keys[order[index]!]![depth] ?? -1;
  const swap = (a: number, b: number) => {
    const held = order[a]!;
    order[a] = order[b]!;
    order[b] = held;
  };
  const parts: { readonly from: number; readonly to: number; readonly depth: number }[] = [{ from: 0, to: order.length, depth: 0 }];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { from, to, depth } = part;
    if (to - from <= FEW) {
      sortFew(keys, order, from, to);
      continue;
    }
    const pivot = byteAt(from + ((to - from) >>> 1), depth);
    let low = from;
    let high = to - 1;
    for (let at = from; at <= high;) {
      const byte = byteAt(at, depth);
      if (byte < pivot) swap(low++, at++);
      else if (byte > pivot) swap(at, high--);
      else at++;
    }
    parts.push({ from, to: low, depth }, { from: high + 1, to, depth });
    if (pivot >= 0) parts.push({ from: low, to: high + 1, depth: depth + 1 });
  }
  return order;
}

function sortFew(keys: readonly Uint8Array[], order: Uint32Array, from: number, to: number): void {
  for (let index = from + 1; index < to; index++) {
    const moved = order[index]!;
    const key = keys[moved]!;
    let at = index;
    for (; at > from; at--) {
      const other = keys[order[at - 1]!]!;
      if (compareKeys(other, other.length, key, key.length) <= 0) break;
      order[at] = order[at - 1]!;
    }
    order[at] = moved;
  }
}

function doubled(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}
