import {
  branchGet,
  branchKey,
  branchRemove,
  branchSet,
  eachBranch,
  FIRST_PAIR,
  forEachInBranch,
  newBranch,
  type Branch,
} from './branch.ts';
import { closeSum, hashKey, hashKeyBytes, hashLeaf, lanes, mix } from './digest.ts';
import { RecentChildren } from './recent-children.ts';
import type { Value } from './value.ts';

/** What a key leads to: an object, or a value that is replaced whole (a leaf or a frozen array). */
export type Child = TreeNode | Exclude<Value, { readonly [key: string]: Value }>;

/**
 * The keys and children of a narrow node. Its prototype has no properties, so that `constructor` and `__proto__` are
 * keys like any others. V8 gives nodes of one shape one hidden class.
 */
interface Fields {
  [key: string]: Child;
}

/** How many keys V8 keeps inside the object itself; it keeps further keys in a separate array. */
const FIELDS_INSIDE = 10;

const Fields = function (this: Fields, counted?: true): void {
  // These lines never run. V8 counts the assignments in a constructor's text and adds eight: see keepFieldsInside.
  if (counted === undefined) return;
  this.a = null;
  this.b = null;
} as unknown as new () => Fields;
Fields.prototype = Object.create(null) as Fields;
keepFieldsInside();

/**
 * V8 decides by the first objects of a constructor how many properties later ones hold inside the object, up to the
 * number that it expects from the constructor's text. So the first objects are made here, with that many. A commit
 * waits for memory more than for anything else, and a key outside the object is one access more: on records of ten
 * keys, ten inside instead of eight save a tenth of the CPU of both sites, and 24 bytes a record.
 */
function keepFieldsInside(): void {
  for (let object = 0; object < 16; object++) {
    const fields = new Fields();
    for (let key = 0; key < FIELDS_INSIDE; key++) fields[`warm${key}`] = 0;
  }
}

/**
 * The most keys of a narrow node; with one more it becomes wide for good. Measured: beyond this, copying a node costs
 * more than a branch.
 */
const NARROW_LIMIT = 32;

/** So many children make it worth while to remember which ones were lately reached. */
const REMEMBERED_SIZE = 512;

/** What a wide node holds instead of fields. */
interface WideContent {
  branch: Branch<Child>;
  /** Of the newest copy of a node only; the copy takes it over. */
  recent: RecentChildren<TreeNode> | undefined;
}

/** An object of the tree. Only the current generation's nodes are ever changed; see Tree. */
export class TreeNode {
  // In the order in which a walk reads them, then a mix: what a walk reads lies in one cache line. Measured on a
  // million leaves.
  generation: number;
  fields: Fields | undefined = new Fields();
  wide: WideContent | undefined = undefined;
  /** Its sum has changed since `partLo` and `partHi` were computed: the sums above it are out of date. */
  touched = false;
  /** The last frame whose dictionary names this node, and the node's number in it. */
  frame = 0;
  frameId = 0;
  /** Hash of its key, and its term in its parent's sum. */
  keyLo = 0;
  keyHi = 0;
  partLo = 0;
  partHi = 0;
  /** Sum of the children's terms: the digest before closeSum. */
  sumLo = 0;
  sumHi = 0;
  size = 0;

  constructor(generation: number) {
    this.generation = generation;
  }

  /** The content of a wide node. */
  get branch(): Branch<Child> | undefined {
    return this.wide?.branch;
  }
}

export function lookup(node: TreeNode, key: string): Child | undefined {
  if (node.fields !== undefined) return node.fields[key];
  hashKey(key);
  return branchGet(node.wide!.branch, lanes.lo, key);
}

/** As lookup, for a key whose hash is known. */
export function lookupHashed(node: TreeNode, key: string, keyLo: number): Child | undefined {
  return node.fields !== undefined ? node.fields[key] : branchGet(node.wide!.branch, keyLo, key);
}

/**
 * As lookupHashed, of a node that a path leads through: an inner node that is found is remembered. `node` belongs to the
 * current generation.
 */
export function reachHashed(node: TreeNode, key: string, keyLo: number): Child | undefined {
  if (node.fields !== undefined) return node.fields[key];
  const wide = node.wide!;
  if (node.size < REMEMBERED_SIZE) return branchGet(wide.branch, keyLo, key);
  wide.recent ??= new RecentChildren();
  const known = wide.recent.get(keyLo, key);
  if (known !== undefined) return known;
  const child = branchGet(wide.branch, keyLo, key);
  if (child instanceof TreeNode) wide.recent.set(keyLo, key, child, node.size);
  return child;
}

/** As reachHashed, for a key whose hash is not known. */
export function reach(node: TreeNode, key: string): Child | undefined {
  if (node.fields !== undefined) return node.fields[key];
  hashKey(key);
  return reachHashed(node, key, lanes.lo);
}

/**
 * A wide node's own string for the key that bytes spell, with the hash in `lanes`; undefined if it is not found or the
 * node is narrow.
 */
export function spelledKey(node: TreeNode, bytes: Uint8Array, start: number, end: number): string | undefined {
  if (node.wide === undefined) return undefined;
  hashKeyBytes(bytes, start, end);
  const { branch, recent } = node.wide;
  return recent?.spelledKey(lanes.lo, bytes, start, end) ?? branchKey(branch, lanes.lo, bytes, start, end);
}

const fetchedKeys: (string | undefined)[] = [];
const fetchedNodes: (TreeNode | undefined)[] = [];

/**
 * Reads what `spelledKey`, `reachHashed` and `assign` will read of a wide node's children, so that the processor waits
 * for many of them at once, and not for one after the other. Only children that were lately reached.
 * @param hashes low lanes of their keys' hashes
 */
export function fetchRecent(node: TreeNode, hashes: Int32Array, count: number): void {
  const recent = node.wide?.recent;
  if (recent === undefined) return;
  recent.list(hashes, count, fetchedKeys, fetchedNodes);
  let read = 0;
  for (let at = 0; at < count; at++) {
    const child = fetchedNodes[at];
    if (child !== undefined) read ^= child.generation ^ child.sumLo ^ fetchedKeys[at]!.length;
  }
  for (let at = 0; at < count; at++) {
    if (typeof fetchedNodes[at]?.fields === 'object') read++;
    fetchedNodes[at] = undefined;
  }
  recent.read = read;
}

/** A copy that belongs to `generation`; its branches and children are shared until they are changed. */
export function copyNode(node: TreeNode, generation: number): TreeNode {
  const copy = new TreeNode(generation);
  copy.size = node.size;
  if (node.fields === undefined) {
    copy.fields = undefined;
    const { branch, recent } = node.wide!;
    copy.wide = { branch, recent };
    node.wide!.recent = undefined;
  } else {
    const from = node.fields;
    const to = copy.fields!;
    for (const key in from) to[key] = from[key]!;
  }
  copy.sumLo = node.sumLo;
  copy.sumHi = node.sumHi;
  copy.keyLo = node.keyLo;
  copy.keyHi = node.keyHi;
  copy.partLo = node.partLo;
  copy.partHi = node.partHi;
  copy.frame = node.frame;
  copy.frameId = node.frameId;
  return copy;
}

/**
 * Sets or removes a child and keeps the sum. `node` must belong to the current generation, and a node that is put in or
 * taken out must not be touched. `old` is the present child.
 */
export function assign(node: TreeNode, key: string, keyLo: number, keyHi: number, old: Child | undefined, child: Child | undefined): void {
  if (old !== undefined) {
    mixChild(old, keyLo, keyHi, false);
    node.sumLo = (node.sumLo - lanes.lo) | 0;
    node.sumHi = (node.sumHi - lanes.hi) | 0;
    if (old instanceof TreeNode) node.wide?.recent?.forget(keyLo, old);
  }
  if (child === undefined) {
    if (old !== undefined) remove(node, key, keyLo);
    return;
  }
  mixChild(child, keyLo, keyHi, true);
  node.sumLo = (node.sumLo + lanes.lo) | 0;
  node.sumHi = (node.sumHi + lanes.hi) | 0;
  if (old === undefined) {
    if (node.size === NARROW_LIMIT) widen(node);
    node.size++;
  }
  if (node.fields !== undefined) node.fields[key] = child;
  else setInBranch(node.wide!, keyLo, key, child, node.generation);
}

/**
 * Puts a child under a new key of a node that no tree holds yet.
 * @param lo, hi digest of the child
 */
export function insert(node: TreeNode, key: string, child: Child, lo: number, hi: number): void {
  hashKey(key);
  const { lo: keyLo, hi: keyHi } = lanes;
  lanes.lo = lo;
  lanes.hi = hi;
  mix(keyLo, keyHi);
  if (child instanceof TreeNode) {
    child.keyLo = keyLo;
    child.keyHi = keyHi;
    child.partLo = lanes.lo;
    child.partHi = lanes.hi;
  }
  node.sumLo = (node.sumLo + lanes.lo) | 0;
  node.sumHi = (node.sumHi + lanes.hi) | 0;
  if (node.size === NARROW_LIMIT) widen(node);
  node.size++;
  if (node.fields !== undefined) node.fields[key] = child;
  else setInBranch(node.wide!, keyLo, key, child, node.generation);
}

/** Replaces a child by its copy of another generation, which has the same content and digest. */
export function adopt(node: TreeNode, key: string, child: TreeNode): void {
  if (node.fields !== undefined) {
    node.fields[key] = child;
    return;
  }
  const wide = node.wide!;
  setInBranch(wide, child.keyLo, key, child, node.generation);
  wide.recent?.set(child.keyLo, key, child, node.size);
}

function setInBranch(wide: WideContent, keyLo: number, key: string, child: Child, generation: number): void {
  wide.branch = branchSet(wide.branch, 0, keyLo, key, child, hashOf, generation);
}

/**
 * Leaves a child's term in its parent's sum in `lanes`.
 * @param enters the child is put in: a node then keeps its term
 */
function mixChild(child: Child, keyLo: number, keyHi: number, enters: boolean): void {
  if (!(child instanceof TreeNode)) {
    hashLeaf(child);
    mix(keyLo, keyHi);
    return;
  }
  if (!enters) {
    lanes.lo = child.partLo;
    lanes.hi = child.partHi;
    return;
  }
  child.keyLo = keyLo;
  child.keyHi = keyHi;
  closeSum(child.sumLo, child.sumHi);
  mix(keyLo, keyHi);
  child.partLo = lanes.lo;
  child.partHi = lanes.hi;
}

function remove(node: TreeNode, key: string, keyLo: number): void {
  node.size--;
  if (node.fields === undefined) {
    const wide = node.wide!;
    wide.branch = branchRemove(wide.branch, 0, keyLo, key, node.generation);
    return;
  }
  // Not `delete`: it would turn the object into a dictionary of twice the size.
  const fields = new Fields();
  for (const other in node.fields) if (other !== key) fields[other] = node.fields[other]!;
  node.fields = fields;
}

function widen(node: TreeNode): void {
  if (node.fields === undefined) return;
  let branch = newBranch<Child>(node.generation);
  for (const key in node.fields) branch = branchSet(branch, 0, hashOf(key), key, node.fields[key]!, hashOf, node.generation);
  node.wide = { branch, recent: undefined };
  node.fields = undefined;
}

function hashOf(key: string): number {
  hashKey(key);
  return lanes.lo;
}

export function forEachChild(node: TreeNode, visit: (key: string, child: Child) => void): void {
  if (node.fields === undefined) {
    forEachInBranch(node.wide!.branch, visit);
    return;
  }
  for (const key in node.fields) visit(key, node.fields[key]!);
}

/** As forEachChild, for those that stop in between. */
export function* eachChild(node: TreeNode): Generator<readonly [key: string, child: Child]> {
  if (node.fields !== undefined) {
    for (const key in node.fields) yield [key, node.fields[key]!];
    return;
  }
  for (const branch of eachBranch(node.wide!.branch)) {
    for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
      if (branch[slot] !== undefined) yield [branch[slot] as string, branch[slot + 1] as Child];
    }
  }
}

export function childKeys(node: TreeNode): string[] {
  const keys: string[] = [];
  forEachChild(node, key => keys.push(key));
  return keys;
}
