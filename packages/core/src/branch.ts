/**
 * A hash array mapped trie from keys to children: the content of a wide node. Editing copies only what another generation may still
 * see, so that a change in an object with a million keys costs a handful of 32-way branches at most, and nothing is copied twice in
 * one generation. After Bagwell, «Ideal Hash Trees», 2001.
 *
 * `slots` holds pairs: a key and its child, or `undefined` and a deeper branch. Below the last level keys whose hashes are equal
 * stand in a row.
 */
export class Branch<T> {
  generation: number;
  bitmap: number;
  slots: (string | undefined | T | Branch<T>)[];

  constructor(generation: number, bitmap: number, slots: (string | undefined | T | Branch<T>)[]) {
    this.generation = generation;
    this.bitmap = bitmap;
    this.slots = slots;
  }
}

/** Bits of a hash that one level uses up. */
const LEVEL_BITS = 5;
const LAST_SHIFT = 30;

function countBits(x: number): number {
  x -= (x >>> 1) & 0x5555_5555;
  x = (x & 0x3333_3333) + ((x >>> 2) & 0x3333_3333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

export function branchGet<T>(branch: Branch<T>, hash: number, key: string): T | undefined {
  let at = branch;
  for (let shift = 0; shift <= LAST_SHIFT; shift += LEVEL_BITS) {
    const bit = 1 << ((hash >>> shift) & 31);
    if ((at.bitmap & bit) === 0) return undefined;
    const slot = countBits(at.bitmap & (bit - 1)) << 1;
    const found = at.slots[slot];
    if (found !== undefined) return found === key ? (at.slots[slot + 1] as T) : undefined;
    at = at.slots[slot + 1] as Branch<T>;
  }
  const row = at.slots.indexOf(key);
  return row < 0 ? undefined : (at.slots[row + 1] as T);
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
  const own = branch.generation === generation ? branch : new Branch(generation, branch.bitmap, branch.slots.slice());
  const slots = own.slots;
  if (shift > LAST_SHIFT) {
    const row = slots.indexOf(key);
    if (row < 0) slots.push(key, child);
    else slots[row + 1] = child;
    return own;
  }
  const bit = 1 << ((hash >>> shift) & 31);
  const slot = countBits(own.bitmap & (bit - 1)) << 1;
  if ((own.bitmap & bit) === 0) {
    own.bitmap |= bit;
    slots.splice(slot, 0, key, child);
    return own;
  }
  const found = slots[slot];
  if (found === key) {
    slots[slot + 1] = child;
  } else if (found === undefined) {
    slots[slot + 1] = branchSet(slots[slot + 1] as Branch<T>, shift + LEVEL_BITS, hash, key, child, hashOf, generation);
  } else {
    let deeper = new Branch<T>(generation, 0, []);
    deeper = branchSet(deeper, shift + LEVEL_BITS, hashOf(found as string), found as string, slots[slot + 1] as T, hashOf, generation);
    slots[slot + 1] = branchSet(deeper, shift + LEVEL_BITS, hash, key, child, hashOf, generation);
    slots[slot] = undefined;
  }
  return own;
}

/** Removes a key that is there; returns the branch to use from now on. */
export function branchRemove<T>(branch: Branch<T>, shift: number, hash: number, key: string, generation: number): Branch<T> {
  const own = branch.generation === generation ? branch : new Branch(generation, branch.bitmap, branch.slots.slice());
  const slots = own.slots;
  if (shift > LAST_SHIFT) {
    slots.splice(slots.indexOf(key), 2);
    return own;
  }
  const bit = 1 << ((hash >>> shift) & 31);
  const slot = countBits(own.bitmap & (bit - 1)) << 1;
  if (slots[slot] !== undefined) {
    own.bitmap &= ~bit;
    slots.splice(slot, 2);
    return own;
  }
  const deeper = branchRemove(slots[slot + 1] as Branch<T>, shift + LEVEL_BITS, hash, key, generation);
  if (deeper.slots.length === 2 && deeper.slots[0] !== undefined) {
    slots[slot] = deeper.slots[0];
    slots[slot + 1] = deeper.slots[1] as T;
  } else {
    slots[slot + 1] = deeper;
  }
  return own;
}

/** Every branch once, parents before children: pairs whose key is a string are entries. */
export function* eachBranch<T>(branch: Branch<T>): Generator<Branch<T>> {
  yield branch;
  for (let slot = 0; slot < branch.slots.length; slot += 2) {
    if (branch.slots[slot] === undefined) yield* eachBranch(branch.slots[slot + 1] as Branch<T>);
  }
}

/** Every key once, in the order of their hashes. */
export function* branchKeys<T>(branch: Branch<T>): Generator<string> {
  for (const { slots } of eachBranch(branch)) {
    for (let slot = 0; slot < slots.length; slot += 2) if (slots[slot] !== undefined) yield slots[slot] as string;
  }
}

/** Calls `visit` for each entry, without a generator's cost. */
export function forEachInBranch<T>(branch: Branch<T>, visit: (key: string, child: T) => void): void {
  const slots = branch.slots;
  for (let slot = 0; slot < slots.length; slot += 2) {
    const key = slots[slot];
    if (key === undefined) forEachInBranch(slots[slot + 1] as Branch<T>, visit);
    else visit(key as string, slots[slot + 1] as T);
  }
}
