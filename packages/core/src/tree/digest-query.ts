import { branchAbove } from './branch.ts';
import { closeSum, formatDigest, hashKey, hashLeaf, lanes, mix } from './digest.ts';
import { EvertreeError } from '../errors.ts';
import { eachChild, eachInBranch, TreeNode, type Child } from './node.ts';
import { formatPath, type Path } from './path.ts';
import { STEP_MEMBERS } from './prepared-value.ts';
import { digestOf, getFrom } from './tree.ts';

/**
 * The children of an object whose keys' hashes begin alike. Each digit (`0` to `9`, `a` to `v`) stands for five bits of
 * the low lane of a key's hash, the lowest bits first; the empty text is all children. It depends on the keys alone, and
 * not on how a site keeps them.
 */
export type KeyGroup = string;

const DIGITS = '0123456789abcdefghijklmnopqrstuv';
const DIGIT_BITS = 5;
/** The low lane has no more whole digits. */
const GROUP_DIGITS_LIMIT = 6;
/** A group of more children is answered by its groups: thirty-two digests instead of a digest for each child. */
export const LISTED_LIMIT = 64;
/** Children, or UTF-16 units of their keys, after which a list ends. One at least is listed. */
const PAGE_CHILDREN = 2_048;
const PAGE_UNITS = 256 * 1024;

/** What one site asks of another's tree: the digests of an object's children, or of one group of them. */
export interface DigestQuery {
  /** Of an object. */
  readonly path: Path;
  readonly group: KeyGroup;
  /** Go on with a list after this key. */
  readonly after?: string;
}

/** An inner node, or what is replaced whole: a leaf or an array. */
export type ChildKind = 'object' | 'value';

export interface ChildDigest {
  readonly key: string;
  readonly kind: ChildKind;
  readonly digest: string;
}

export interface GroupDigest {
  readonly group: KeyGroup;
  /** How many children it has: at least one. */
  readonly count: number;
  /** That of an object with these children. */
  readonly digest: string;
}

export type DigestAnswer =
  | {
      /** In the order of their keys' UTF-16 units. */
      readonly children: readonly ChildDigest[];
      /** Set if the list goes on after this key. */
      readonly next?: string;
    }
  | { readonly groups: readonly GroupDigest[] };

/** The group of one digit more that a key belongs to. */
export function groupBelow(group: KeyGroup, key: string): KeyGroup {
  hashKey(key);
  return group + DIGITS[(lanes.lo >>> (group.length * DIGIT_BITS)) & 31]!;
}

export function isKeyGroup(text: string): boolean {
  return /^[0-9a-v]{0,6}$/.test(text);
}

/**
 * Answers a query on a pinned tree. The generator pauses after each step of some 2 ms: a group may have a million
 * children.
 * @throws EvertreeError NOT_FOUND when no object stands at the path
 */
export function* answerDigestQuery(root: TreeNode, { path, group, after }: DigestQuery): Generator<void, DigestAnswer, void> {
  const node = getFrom(root, path);
  if (!(node instanceof TreeNode)) {
    const pointer = formatPath(path);
    throw new EvertreeError('NOT_FOUND', `no object is at ${JSON.stringify(pointer)}`, { path: pointer });
  }
  const listed: [string, Child][] = [];
  for (const batch of batchesIn(node, group)) {
    listed.push(...batch);
    if (listed.length > LISTED_LIMIT && group.length < GROUP_DIGITS_LIMIT) return { groups: yield* groupDigests(node, group) };
    yield;
  }
  return listOf(listed, after);
}

function listOf(entries: readonly [string, Child][], after: string | undefined): DigestAnswer {
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
  const children: ChildDigest[] = [];
  let units = 0;
  for (const [key, child] of sorted) {
    if (after !== undefined && key <= after) continue;
    if (children.length > 0 && (units + key.length > PAGE_UNITS || children.length === PAGE_CHILDREN)) {
      return { children, next: children.at(-1)!.key };
    }
    units += key.length;
    children.push({ key, kind: child instanceof TreeNode ? 'object' : 'value', digest: digestOf(child) });
  }
  return { children };
}

function* groupDigests(node: TreeNode, group: KeyGroup): Generator<void, readonly GroupDigest[], void> {
  const sums = new GroupSums(group);
  for (const batch of batchesIn(node, group)) {
    for (const [key, child] of batch) sums.add(key, child);
    yield;
  }
  return sums.digests();
}

/** Adds up the terms of children, by the next digit of their keys' hashes. */
class GroupSums {
  readonly #group: KeyGroup;
  readonly #lo = new Int32Array(32);
  readonly #hi = new Int32Array(32);
  readonly #counts = new Uint32Array(32);

  constructor(group: KeyGroup) {
    this.#group = group;
  }

  add(key: string, child: Child): void {
    hashKey(key);
    const { lo: keyLo, hi: keyHi } = lanes;
    if (child instanceof TreeNode) closeSum(child.sumLo, child.sumHi);
    else hashLeaf(child);
    mix(keyLo, keyHi);
    const digit = (keyLo >>> (this.#group.length * DIGIT_BITS)) & 31;
    this.#lo[digit]! += lanes.lo;
    this.#hi[digit]! += lanes.hi;
    this.#counts[digit]!++;
  }

  digests(): readonly GroupDigest[] {
    const digests: GroupDigest[] = [];
    for (let digit = 0; digit < 32; digit++) {
      const count = this.#counts[digit]!;
      if (count === 0) continue;
      closeSum(this.#lo[digit]!, this.#hi[digit]!);
      digests.push({ group: this.#group + DIGITS[digit]!, count, digest: formatDigest(lanes.lo, lanes.hi) });
    }
    return digests;
  }
}

/**
 * The group of a list of children, as a site would answer for it. For comparing a list with another site's groups.
 * @param children all of one group's
 */
export function digestOfList(children: readonly ChildDigest[]): string {
  let lo = 0;
  let hi = 0;
  for (const { key, digest } of children) {
    hashKey(key);
    const { lo: keyLo, hi: keyHi } = lanes;
    lanes.hi = Number.parseInt(digest.slice(0, 8), 16) | 0;
    lanes.lo = Number.parseInt(digest.slice(8), 16) | 0;
    mix(keyLo, keyHi);
    lo = (lo + lanes.lo) | 0;
    hi = (hi + lanes.hi) | 0;
  }
  closeSum(lo, hi);
  return formatDigest(lanes.lo, lanes.hi);
}

/** The children of a group, in batches of up to STEP_MEMBERS. */
function* batchesIn(node: TreeNode, group: KeyGroup): Generator<readonly [string, Child][]> {
  const digits = Array.from(group, digit => DIGITS.indexOf(digit));
  const belongs = (key: string): boolean => {
    if (digits.length === 0) return true;
    hashKey(key);
    return digits.every((digit, level) => ((lanes.lo >>> (level * DIGIT_BITS)) & 31) === digit);
  };
  let batch: [string, Child][] = [];
  for (const [key, child] of entriesNear(node, digits)) {
    if (belongs(key)) batch.push([key, child]);
    if (batch.length < STEP_MEMBERS) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

/** The children of a group, and maybe others. The trie of a wide node has the same digits, so that few are others. */
function entriesNear(node: TreeNode, digits: readonly number[]): Generator<readonly [string, Child]> {
  return node.branch === undefined ? eachChild(node) : eachInBranch(branchAbove(node.branch, digits));
}
