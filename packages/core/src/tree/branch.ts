import { isSpelled } from './spelled-key.ts';

/**
 * A hash array mapped trie from keys to children: the content of a wide node. After Bagwell, «Ideal Hash Trees», 2001.
 *
 * An edit copies only the branches that another generation may still see, and none twice in one generation. So a change
 * in an object with a million keys copies a handful of 32-way branches at most.
 *
 * One array holds the whole branch: its generation, the bitmap of its slots, then pairs: a key and its child, or
 * `undefined` and a deeper branch. Below the last level, keys with equal hashes are listed without a bitmap. It is an
 * array and no object with an array inside: a commit on a tree larger than the processor's caches spends most of its
 * time waiting for memory, once for each object that it passes.
 */
export type Branch<T> = [generation: number, bitmap: number, ...pairs: (string | undefined | T | Branch<T>)[]];

/** Indices in the array of a branch. */
const GENERATION = 0;
export const BITMAP = 1;
export const FIRST_PAIR = 2;

/** Bits of the hash that select a slot on one level. */
const LEVEL_BITS = 5;
const LAST_SHIFT = 30;

export function newBranch<T>(generation: number): Branch<T> {
  return [generation, 0];
}

function countBits(x: number): number {
  x -= (x >>> 1) & 0x5555_5555;
  x = (x & 0x3333_3333) + ((x >>> 2) & 0x3333_3333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** The index of a bit's pair, or where it would be inserted. */
function slotOf(bitmap: number, bit: number): number {
  return (countBits(bitmap & (bit - 1)) << 1) + FIRST_PAIR;
}

export function branchGet<T>(branch: Branch<T>, hash: number, key: string): T | undefined {
  let at = branch;
  for (let shift = 0; shift <= LAST_SHIFT; shift += LEVEL_BITS) {
    const bit = 1 << ((hash >>> shift) & 31);
    const bitmap = at[BITMAP];
    if ((bitmap & bit) === 0) return undefined;
    const slot = slotOf(bitmap, bit);
    const found = at[slot];
    if (found !== undefined) return found === key ? (at[slot + 1] as T) : undefined;
    at = at[slot + 1] as Branch<T>;
  }
  const row = at.indexOf(key, FIRST_PAIR);
  return row < 0 ? undefined : (at[row + 1] as T);
}

/** The branch's own string for the key that bytes spell; undefined if it is not found. @param hash of that key */
export function branchKey<T>(branch: Branch<T>, hash: number, bytes: Uint8Array, start: number, end: number): string | undefined {
  let at = branch;
  for (let shift = 0; shift <= LAST_SHIFT; shift += LEVEL_BITS) {
    const bit = 1 << ((hash >>> shift) & 31);
    const bitmap = at[BITMAP];
    if ((bitmap & bit) === 0) return undefined;
    const slot = slotOf(bitmap, bit);
    const found = at[slot] as string | undefined;
    if (found !== undefined) return isSpelled(found, bytes, start, end) ? found : undefined;
    at = at[slot + 1] as Branch<T>;
  }
  return undefined;
}

/** Sets a key. @returns the branch to use from now on: this one if it belongs to `generation`, else a copy */
export function branchSet<T>(
  branch: Branch<T>,
  shift: number,
  hash: number,
  key: string,
  child: T,
  hashOf: (key: string) => number,
  generation: number,
): Branch<T> {
  if (shift > LAST_SHIFT) return rowSet(branch, key, child, generation);
  const bitmap = branch[BITMAP];
  const bit = 1 << ((hash >>> shift) & 31);
  const slot = slotOf(bitmap, bit);
  if ((bitmap & bit) === 0) return withPair(branch, slot, bitmap | bit, key, child, generation);
  const own = ownBranch(branch, generation);
  const found = own[slot];
  if (found === key) {
    own[slot + 1] = child;
  } else if (found === undefined) {
    const below = own[slot + 1] as Branch<T>;
    const deeper = branchSet(below, shift + LEVEL_BITS, hash, key, child, hashOf, generation);
    if (deeper !== below) own[slot + 1] = deeper;
  } else {
    const other = found as string;
    const deeper = branchSet(newBranch<T>(generation), shift + LEVEL_BITS, hashOf(other), other, own[slot + 1] as T, hashOf, generation);
    own[slot + 1] = branchSet(deeper, shift + LEVEL_BITS, hash, key, child, hashOf, generation);
    own[slot] = undefined;
  }
  return own;
}

function ownBranch<T>(branch: Branch<T>, generation: number): Branch<T> {
  if (branch[GENERATION] === generation) return branch;
  const copy = branch.slice() as Branch<T>;
  copy[GENERATION] = generation;
  return copy;
}

/**
 * A copy of a branch with one more pair. The branch is copied in any generation: an array that grows keeps spare room
 * that is rarely used.
 */
function withPair<T>(branch: Branch<T>, slot: number, bitmap: number, key: string, child: T, generation: number): Branch<T> {
  const longer = branch.toSpliced(slot, 0, key, child) as Branch<T>;
  longer[GENERATION] = generation;
  longer[BITMAP] = bitmap;
  return longer;
}

function rowSet<T>(branch: Branch<T>, key: string, child: T, generation: number): Branch<T> {
  const row = branch.indexOf(key, FIRST_PAIR);
  if (row < 0) return withPair(branch, branch.length, 0, key, child, generation);
  const own = ownBranch(branch, generation);
  own[row + 1] = child;
  return own;
}

/** Removes a key that is there. @returns the branch to use from now on */
export function branchRemove<T>(branch: Branch<T>, shift: number, hash: number, key: string, generation: number): Branch<T> {
  const own = ownBranch(branch, generation);
  if (shift > LAST_SHIFT) {
    own.splice(own.indexOf(key, FIRST_PAIR), 2);
    return own;
  }
  const bit = 1 << ((hash >>> shift) & 31);
  const slot = slotOf(own[BITMAP], bit);
  if (own[slot] !== undefined) {
    own[BITMAP] &= ~bit;
    own.splice(slot, 2);
    return own;
  }
  const deeper = branchRemove(own[slot + 1] as Branch<T>, shift + LEVEL_BITS, hash, key, generation);
  if (deeper.length === FIRST_PAIR + 2 && deeper[FIRST_PAIR] !== undefined) {
    own[slot] = deeper[FIRST_PAIR];
    own[slot + 1] = deeper[FIRST_PAIR + 1]!;
  } else {
    own[slot + 1] = deeper;
  }
  return own;
}

/**
 * The lowest branch that has all keys whose hashes begin with these levels' slots. It may have others: a slot with one
 * key has no branch of its own.
 */
export function branchAbove<T>(branch: Branch<T>, slots: readonly number[]): Branch<T> {
  let at = branch;
  for (const index of slots) {
    const bit = 1 << index;
    if ((at[BITMAP] & bit) === 0) return newBranch(0);
    const slot = slotOf(at[BITMAP], bit);
    if (at[slot] !== undefined) return at;
    at = at[slot + 1] as Branch<T>;
  }
  return at;
}

/** Every branch once, parents before children: pairs whose key is a string are entries. */
export function* eachBranch<T>(branch: Branch<T>): Generator<Branch<T>> {
  yield branch;
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    if (branch[slot] === undefined) yield* eachBranch(branch[slot + 1] as Branch<T>);
  }
}

/** Every key once, in the order of their hashes. */
export function* branchKeys<T>(branch: Branch<T>): Generator<string> {
  for (const each of eachBranch(branch)) {
    for (let slot = FIRST_PAIR; slot < each.length; slot += 2) if (each[slot] !== undefined) yield each[slot] as string;
  }
}

/** Calls `visit` for each entry; cheaper than a generator. */
export function forEachInBranch<T>(branch: Branch<T>, visit: (key: string, child: T) => void): void {
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    const key = branch[slot];
    if (key === undefined) forEachInBranch(branch[slot + 1] as Branch<T>, visit);
    else visit(key as string, branch[slot + 1] as T);
  }
}
