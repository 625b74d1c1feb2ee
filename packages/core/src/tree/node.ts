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
import { NodeShape } from './node-shape.ts';
import { clearSlots, copySlots, removeSlot, setSlot, slotAt, type NodeSlots } from './node-slots.ts';
import { RecentChildren } from './recent-children.ts';
import type { Value } from './value.ts';

/** What a key leads to: an object, or a value that is replaced whole (a leaf or a frozen array). */
export type Child = TreeNode | Exclude<Value, { readonly [key: string]: Value }>;

/**
 * The most keys of a narrow node; with one more it becomes wide for good. Measured: beyond this, copying a node costs
 * more than a branch.
 */
const NARROW_LIMIT = 32;

/** So many children make it worth while to remember which ones were lately reached. */
const REMEMBERED_SIZE = 512;

/** What a wide node holds instead of a shape and slots. */
interface WideContent {
  branch: Branch<Child>;
  /** Of the newest copy of a node only; the copy takes it over. */
  recent: RecentChildren<TreeNode> | undefined;
}

/** An object of the tree. Only the current generation's nodes are ever changed; see Tree. */
export class TreeNode implements NodeSlots<Child> {
  // In the order in which a walk and a change read them, then a mix: what they read lies in few cache lines. Measured on
  // a million leaves.
  generation: number;
  /** The keys of a narrow node, whose children are in its slots; undefined if the node is wide. */
  shape: NodeShape | undefined = NodeShape.empty;
  /** Its sum has changed since `partLo` and `partHi` were computed: the sums above it are out of date. */
  touched = false;
  /** Sum of the children's terms: the digest before closeSum. */
  sumLo = 0;
  sumHi = 0;
  /** The last frame whose dictionary names this node, and the node's number in it. */
  frame = 0;
  frameId = 0;
  /** Hash of its key, and its term in its parent's sum. */
  keyLo = 0;
  keyHi = 0;
  partLo = 0;
  partHi = 0;
  s0: Child | undefined = undefined;
  s1: Child | undefined = undefined;
  s2: Child | undefined = undefined;
  s3: Child | undefined = undefined;
  s4: Child | undefined = undefined;
  s5: Child | undefined = undefined;
  s6: Child | undefined = undefined;
  s7: Child | undefined = undefined;
  s8: Child | undefined = undefined;
  s9: Child | undefined = undefined;
  more: (Child | undefined)[] | undefined = undefined;
  wide: WideContent | undefined = undefined;
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
  if (node.shape !== undefined) return lookupNarrow(node, node.shape, key);
  hashKey(key);
  return branchGet(node.wide!.branch, lanes.lo, key);
}

/** As lookup, for a key whose hash is known. */
export function lookupHashed(node: TreeNode, key: string, keyLo: number): Child | undefined {
  return childAt(node, slotOf(node, key), key, keyLo);
}

/** The slot of a key in a narrow node; -1 if it has none there, or if the node is wide. */
export function slotOf({ shape }: TreeNode, key: string): number {
  return shape === undefined ? -1 : shape.indexOf(key);
}

/** As lookupHashed. @param slot as slotOf tells */
export function childAt(node: TreeNode, slot: number, key: string, keyLo: number): Child | undefined {
  if (slot >= 0) return slotAt(node, slot);
  return node.shape === undefined ? branchGet(node.wide!.branch, keyLo, key) : undefined;
}

/** Leaves the hash of a key in `lanes`. @param slot as slotOf tells */
export function hashOfKey({ shape }: TreeNode, slot: number, key: string): void {
  if (slot < 0) hashKey(key);
  else shape!.hashAt(slot);
}

function lookupNarrow(node: TreeNode, shape: NodeShape, key: string): Child | undefined {
  const slot = shape.indexOf(key);
  return slot < 0 ? undefined : slotAt(node, slot);
}

/**
 * As lookupHashed, of a node that a path leads through: an inner node that is found is remembered. `node` belongs to the
 * current generation.
 */
export function reachHashed(node: TreeNode, key: string, keyLo: number): Child | undefined {
  const { wide } = node;
  if (wide === undefined || node.size < REMEMBERED_SIZE) return lookupHashed(node, key, keyLo);
  wide.recent ??= new RecentChildren();
  const known = wide.recent.get(keyLo, key);
  if (known !== undefined) return known;
  const child = branchGet(wide.branch, keyLo, key);
  if (child instanceof TreeNode) wide.recent.set(keyLo, key, child, node.size);
  return child;
}

/** As reachHashed, for a key whose hash is not known. */
export function reach(node: TreeNode, key: string): Child | undefined {
  if (node.shape !== undefined) return lookupNarrow(node, node.shape, key);
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
    if (child !== undefined) read ^= child.generation ^ child.size ^ fetchedKeys[at]!.length;
    fetchedNodes[at] = undefined;
  }
  recent.read = read;
}

/** A copy that belongs to `generation`; its branches and children are shared until they are changed. */
export function copyNode(node: TreeNode, generation: number): TreeNode {
  const copy = new TreeNode(generation);
  copy.size = node.size;
  copy.shape = node.shape;
  if (node.wide === undefined) {
    copySlots(node, copy);
  } else {
    const { branch, recent } = node.wide;
    copy.wide = { branch, recent };
    node.wide.recent = undefined;
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
 * taken out must not be touched.
 * @param old the present child
 * @param slot as slotOf tells, for who asked it already
 */
export function assign(
  node: TreeNode,
  key: string,
  keyLo: number,
  keyHi: number,
  old: Child | undefined,
  child: Child | undefined,
  slot?: number,
): void {
  if (old !== undefined) {
    mixChild(old, keyLo, keyHi, false);
    node.sumLo = (node.sumLo - lanes.lo) | 0;
    node.sumHi = (node.sumHi - lanes.hi) | 0;
    if (old instanceof TreeNode) node.wide?.recent?.forget(keyLo, old);
  }
  if (child === undefined) {
    if (old !== undefined) remove(node, key, keyLo, slot ?? slotOf(node, key));
    return;
  }
  mixChild(child, keyLo, keyHi, true);
  node.sumLo = (node.sumLo + lanes.lo) | 0;
  node.sumHi = (node.sumHi + lanes.hi) | 0;
  if (old === undefined) add(node, key, keyLo, child);
  else replace(node, key, keyLo, child, slot ?? slotOf(node, key));
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
  add(node, key, keyLo, child);
}

/** Replaces a child by its copy of another generation, which has the same content and digest. */
export function adopt(node: TreeNode, key: string, child: TreeNode): void {
  replace(node, key, child.keyLo, child, slotOf(node, key));
  node.wide?.recent?.set(child.keyLo, key, child, node.size);
}

/** Puts a child under a key that the node does not have. */
function add(node: TreeNode, key: string, keyLo: number, child: Child): void {
  if (node.size === NARROW_LIMIT) widen(node);
  const { shape } = node;
  if (shape === undefined) {
    setInBranch(node.wide!, keyLo, key, child, node.generation);
  } else {
    setSlot(node, node.size, child);
    node.shape = shape.with(key);
  }
  node.size++;
}

/** Puts another child under a key that the node has. */
function replace(node: TreeNode, key: string, keyLo: number, child: Child, slot: number): void {
  if (slot < 0) setInBranch(node.wide!, keyLo, key, child, node.generation);
  else setSlot(node, slot, child);
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

function remove(node: TreeNode, key: string, keyLo: number, slot: number): void {
  const { shape } = node;
  if (shape === undefined) {
    const wide = node.wide!;
    wide.branch = branchRemove(wide.branch, 0, keyLo, key, node.generation);
  } else {
    removeSlot(node, slot, node.size);
    node.shape = shape.without(slot);
  }
  node.size--;
}

function widen(node: TreeNode): void {
  if (node.shape === undefined) return;
  let branch = newBranch<Child>(node.generation);
  forEachChild(node, (key, child) => {
    branch = branchSet(branch, 0, hashOf(key), key, child, hashOf, node.generation);
  });
  node.wide = { branch, recent: undefined };
  node.shape = undefined;
  clearSlots(node);
}

function hashOf(key: string): number {
  hashKey(key);
  return lanes.lo;
}

export function forEachChild(node: TreeNode, visit: (key: string, child: Child) => void): void {
  if (node.shape === undefined) {
    forEachInBranch(node.wide!.branch, visit);
    return;
  }
  const { keys } = node.shape;
  for (let index = 0; index < keys.length; index++) visit(keys[index]!, slotAt(node, index)!);
}

/** As forEachChild, for those that stop in between. */
export function eachChild(node: TreeNode): Generator<readonly [key: string, child: Child]> {
  return node.shape === undefined ? eachInBranch(node.wide!.branch) : eachInSlots(node, node.shape);
}

function* eachInSlots(node: TreeNode, { keys }: NodeShape): Generator<readonly [key: string, child: Child]> {
  for (let index = 0; index < keys.length; index++) yield [keys[index]!, slotAt(node, index)!];
}

/** The children in a branch of a wide node. */
export function* eachInBranch(branch: Branch<Child>): Generator<readonly [key: string, child: Child]> {
  for (const each of eachBranch(branch)) {
    for (let slot = FIRST_PAIR; slot < each.length; slot += 2) {
      if (each[slot] !== undefined) yield [each[slot] as string, each[slot + 1] as Child];
    }
  }
}

export function childKeys(node: TreeNode): string[] {
  const keys: string[] = [];
  forEachChild(node, key => keys.push(key));
  return keys;
}
