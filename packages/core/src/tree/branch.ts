import { isSpelled } from './spelled-key.ts';

/**
 * A hash array mapped trie from keys to children: the content of a wide node. Editing copies only what another generation may still
 * see, so that a change in an object with a million keys costs a handful of 32-way branches at most, and nothing is copied twice in
 * one generation. After Bagwell, «Ideal Hash Trees», 2001.
 *
 * One array holds a branch whole: its generation, the bitmap of its slots, then pairs: a key and its child, or `undefined` and a deeper
 * branch. Below the last level keys whose hashes are equal stand in a row, without a bitmap. Not an object with an array: on a tree
 * beyond the processor's caches a commit waits for memory at every object that it passes, which is most of what it costs.
 */
export type Branch<T> = [generation: number, bitmap: number, ...pairs: (string | undefined | T | Branch<T>)[]];

/** Where a branch keeps what. */
const GENERATION = 0;
export const BITMAP = 1;
export const FIRST_PAIR = 2;

/** Bits of a hash that one level uses up. */
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

/** Where the pair of a bit stands, or would stand. */
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

/** The key of this hash, as it stands here, that bytes spell; undefined where it is not found. */
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

/** Sets a key; returns the branch to use from now on: this one where it belongs to `generation`, else a copy. */
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

/** A branch with one more pair. Made anew also where it is this generation's own: an array that grows keeps room that most never fill. */
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

/** Removes a key that is there; returns the branch to use from now on. */
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

/** Calls `visit` for each entry, without a generator's cost. */
export function forEachInBranch<T>(branch: Branch<T>, visit: (key: string, child: T) => void): void {
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    const key = branch[slot];
    if (key === undefined) forEachInBranch(branch[slot + 1] as Branch<T>, visit);
    else visit(key as string, branch[slot + 1] as T);
  }
}
