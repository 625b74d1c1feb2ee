import type { Value } from './value.ts';

/**
 * The digest of a tree: 64 bits that reveal accidental differences, kept up to date as the tree changes. FORMAT.md,
 * «Digest», is normative.
 *
 * A digest is two lanes of 32 bits. The digest of an object is a function of the sum, lane by lane, of mix(key, digest
 * of the child): the sum is commutative, so that the order of keys does not matter and one changed child costs two
 * mixes, however wide the object is.
 *
 * Functions leave their result in `lanes` instead of allocating one: a commit computes several.
 */
export const lanes = { lo: 0, hi: 0 };

// Tags keep values of different types apart: 1, "1", true and ["1"] have different digests.
const NULL = 0x6e75_6c6c;
const FALSE = 0x6661_6c73;
const TRUE = 0x7472_7565;
const NUMBER = 0x6e75_6d62;
const STRING = 0x7374_7269;
const ARRAY = 0x6172_7261;
const OBJECT = 0x6f62_6a65;
const KEY = 0x6b65_7973;

const doubles = new Float64Array(1);
const words = new Uint32Array(doubles.buffer);

/** MurmurHash3's finalizer: every bit of the input reaches every bit of the output. */
function avalanche(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return h ^ (h >>> 16);
}

function hashText(text: string, tag: number): void {
  let lo = tag;
  let hi = ~tag ^ text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    lo = Math.imul(lo ^ unit, 0x0100_0193);
    hi = Math.imul(((hi << 5) | (hi >>> 27)) ^ unit, 0x9e37_79b1);
  }
  lanes.lo = avalanche(lo);
  lanes.hi = avalanche(hi);
}

/** A longer text, in UTF-16 units, may be hashed in steps: a fifth of a millisecond of work. */
export const LONG_TEXT = 64 * 1024;

/** The digest of a long text, in steps of so many units. */
export function* hashLongText(text: string): Generator<void> {
  let lo = STRING;
  let hi = ~STRING ^ text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    lo = Math.imul(lo ^ unit, 0x0100_0193);
    hi = Math.imul(((hi << 5) | (hi >>> 27)) ^ unit, 0x9e37_79b1);
    if (index % LONG_TEXT === LONG_TEXT - 1) yield;
  }
  lanes.lo = avalanche(lo);
  lanes.hi = avalanche(hi);
}

/** Hash of a key; its low lane also places the key in a wide node. */
export function hashKey(key: string): void {
  hashText(key, KEY);
}

/**
 * As hashKey, for a key that `bytes` spell from `start` to `end`. Only for ASCII: for other characters the result is
 * meaningless.
 */
export function hashKeyBytes(bytes: Uint8Array, start: number, end: number): void {
  let lo = KEY;
  let hi = ~KEY ^ (end - start);
  for (let index = start; index < end; index++) {
    const unit = bytes[index]!;
    lo = Math.imul(lo ^ unit, 0x0100_0193);
    hi = Math.imul(((hi << 5) | (hi >>> 27)) ^ unit, 0x9e37_79b1);
  }
  lanes.lo = avalanche(lo);
  lanes.hi = avalanche(hi);
}

/** Digest of a leaf or of an array. */
export function hashLeaf(value: Value): void {
  switch (typeof value) {
    case 'number':
      return hashNumber(value);
    case 'string':
      return value.length > LONG_TEXT && isKept(value) ? undefined : hashText(value, STRING);
    case 'boolean':
      return hashTag(value ? TRUE : FALSE);
    default:
      if (value === null) return hashTag(NULL);
      return Array.isArray(value) ? hashArray(value) : hashPlainObject(value as { readonly [key: string]: Value });
  }
}

function hashTag(tag: number): void {
  lanes.lo = avalanche(tag);
  lanes.hi = avalanche(~tag);
}

/**
 * Without avalanche: the callers of hashLeaf (mix, hashArray) apply it. Whole numbers of 32 bits are the most frequent
 * and take the short way.
 */
function hashNumber(value: number): void {
  const whole = value | 0;
  if (whole === value) {
    lanes.lo = Math.imul(whole ^ NUMBER, 0x9e37_79b1);
    lanes.hi = Math.imul(whole + NUMBER, 0x85eb_ca77);
    return;
  }
  doubles[0] = value;
  const low = words[0]!;
  const high = words[1]!;
  lanes.lo = (Math.imul(low ^ NUMBER, 0x9e37_79b1) + high) | 0;
  lanes.hi = (Math.imul(high ^ ~NUMBER, 0x85eb_ca77) + low) | 0;
}

/** A value whose digest may be computed in steps, ahead of who asks for it. */
export type LongValue = string | readonly Value[];

/** Whether a value is an array or a long text. */
export function isLong(value: unknown): value is LongValue {
  return typeof value === 'string' ? value.length > LONG_TEXT : Array.isArray(value);
}

/** The digest of an array or of a long text that was computed in steps. */
class DigestAhead {
  #value: LongValue | undefined;
  #lo = 0;
  #hi = 0;

  set(value: LongValue | undefined, lo: number, hi: number): void {
    this.#value = value;
    this.#lo = lo;
    this.#hi = hi;
  }

  take(value: LongValue): boolean {
    if (value !== this.#value) return false;
    this.#value = undefined;
    lanes.lo = this.#lo;
    lanes.hi = this.#hi;
    return true;
  }
}

/** Of a value that enters a tree, and of one that leaves it. */
const entering = new DigestAhead();
const leaving = new DigestAhead();

/** Keeps the digest of a frozen array, or of a long text, for the next time that it is asked for. */
export function keepEntering(value: LongValue, lo: number, hi: number): void {
  entering.set(value, lo, hi);
}

/** As keepEntering, of a value that a tree holds still. */
export function keepLeaving(value: LongValue, lo: number, hi: number): void {
  leaving.set(value, lo, hi);
}

function isKept(value: LongValue): boolean {
  return entering.take(value) || leaving.take(value);
}

/** Holds no value any more. */
export function dropKept(): void {
  entering.set(undefined, 0, 0);
  leaving.set(undefined, 0, 0);
}

function hashArray(items: readonly Value[]): void {
  if (isKept(items)) return;
  beginArray(items.length);
  let { lo, hi } = lanes;
  for (const item of items) {
    hashLeaf(item);
    mixItem(lo, hi);
    lo = lanes.lo;
    hi = lanes.hi;
  }
  lanes.lo = lo;
  lanes.hi = hi;
}

/** The digest of an array of so many items, before the first of them. */
export function beginArray(length: number): void {
  lanes.lo = ARRAY;
  lanes.hi = ~ARRAY ^ length;
}

/** Mixes the next item's digest in `lanes` with the array's digest so far. The result is the digest with that item. */
export function mixItem(lo: number, hi: number): void {
  lanes.lo = avalanche(Math.imul(lo, 0x0100_0193) ^ lanes.lo);
  lanes.hi = avalanche(Math.imul(hi, 0x9e37_79b1) ^ lanes.hi);
}

/** An object inside an array has the same digest as an equal node. */
function hashPlainObject(object: { readonly [key: string]: Value }): void {
  let lo = 0;
  let hi = 0;
  for (const key of Object.keys(object)) {
    hashKey(key);
    const keyLo = lanes.lo;
    const keyHi = lanes.hi;
    hashLeaf(object[key]!);
    mix(keyLo, keyHi);
    lo = (lo + lanes.lo) | 0;
    hi = (hi + lanes.hi) | 0;
  }
  closeSum(lo, hi);
}

/** Digest of an object whose children's mixes add up to (lo, hi). An empty one has the constant of the sum 0. */
export function closeSum(lo: number, hi: number): void {
  lanes.lo = avalanche(Math.imul(lo ^ OBJECT, 0x9e37_79b1) ^ hi);
  lanes.hi = avalanche(Math.imul(hi ^ ~OBJECT, 0x85eb_ca77) ^ ((lo << 16) | (lo >>> 16)));
}

/** Mixes a key's hash with the child's digest in `lanes`. The result is the child's term in its parent's sum. */
export function mix(keyLo: number, keyHi: number): void {
  const { lo, hi } = lanes;
  lanes.lo = avalanche(Math.imul(keyLo ^ ((lo << 13) | (lo >>> 19)), 0x85eb_ca6b) + hi);
  lanes.hi = avalanche(Math.imul(keyHi ^ ((hi << 7) | (hi >>> 25)), 0xc2b2_ae35) + lo);
}

/** 16 hex digits. */
export function formatDigest(lo: number, hi: number): string {
  return (hi >>> 0).toString(16).padStart(8, '0') + (lo >>> 0).toString(16).padStart(8, '0');
}

/** Digest of the empty tree, with which every stream begins. */
export function emptyDigest(): string {
  closeSum(0, 0);
  return formatDigest(lanes.lo, lanes.hi);
}
