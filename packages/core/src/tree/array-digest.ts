import { beginArray, closeSum, hashKey, hashLeaf, hashLongText, isLong, lanes, mix, mixItem } from './digest.ts';
import type { Value } from './value.ts';

/** Members and items that are hashed between two pauses: less than a millisecond of work. */
const HASHED_A_STEP = 4_096;
/** A container of so many leaves at most is hashed without a pause. */
const SHORT = 16;

/** Leaves the digest of a frozen value in `lanes`, in steps. The keys of an object are listed in one. */
export function digestSteps(value: Value): Generator<void> {
  return hashSteps(value, { members: 0 });
}

/** @param progress the members that were hashed so far, at all levels */
function* hashSteps(value: Value, progress: { members: number }): Generator<void> {
  if (typeof value === 'string' && isLong(value)) yield* hashLongText(value);
  else if (typeof value !== 'object' || value === null) hashLeaf(value);
  else if (Array.isArray(value)) yield* hashItems(value, progress);
  else yield* hashMembers(value as { readonly [key: string]: Value }, progress);
}

function* hashItems(items: readonly Value[], progress: { members: number }): Generator<void> {
  beginArray(items.length);
  let { lo, hi } = lanes;
  for (const item of items) {
    if (++progress.members % HASHED_A_STEP === 0) yield;
    if (isShort(item)) hashLeaf(item);
    else yield* hashSteps(item, progress);
    mixItem(lo, hi);
    ({ lo, hi } = lanes);
  }
  lanes.lo = lo;
  lanes.hi = hi;
}

function* hashMembers(object: { readonly [key: string]: Value }, progress: { members: number }): Generator<void> {
  let lo = 0;
  let hi = 0;
  for (const key of Object.keys(object)) {
    if (++progress.members % HASHED_A_STEP === 0) yield;
    hashKey(key);
    const { lo: keyLo, hi: keyHi } = lanes;
    if (isShort(object[key]!)) hashLeaf(object[key]!);
    else yield* hashSteps(object[key]!, progress);
    mix(keyLo, keyHi);
    lo = (lo + lanes.lo) | 0;
    hi = (hi + lanes.hi) | 0;
  }
  closeSum(lo, hi);
}

/** Whether a value is a leaf, or a container of a few, without a long text. */
function isShort(value: Value): boolean {
  if (typeof value !== 'object' || value === null) return !isLong(value);
  const items = Array.isArray(value) ? (value as readonly Value[]) : Object.values(value);
  return items.length <= SHORT && !items.some(item => (typeof item === 'object' && item !== null) || isLong(item));
}
