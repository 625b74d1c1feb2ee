import { branchGet, branchKey, branchRemove, branchSet, forEachInBranch, newBranch, type Branch } from './branch.ts';
import { closeSum, hashKey, hashKeyBytes, hashLeaf, lanes, mix } from './digest.ts';
import type { Value } from './value.ts';

/** What a key leads to: an object, or a value that is replaced whole (a leaf or a frozen array). */
export type Child = TreeNode | Exclude<Value, { readonly [key: string]: Value }>;

/**
 * The keys and children of a narrow node. Its prototype has none, so that `constructor` and `__proto__` are keys like any others, and
 * V8 gives nodes of one shape one hidden class.
 */
interface Fields {
  [key: string]: Child;
}

/** Most keys that stand in an object itself; V8 keeps those beyond in an array of their own. */
const FIELDS_INSIDE = 10;

const Fields = function (this: Fields, counted?: true): void {
  // Never done: V8 counts the properties that a constructor's text assigns, and adds eight (see keepFieldsInside).
  if (counted === undefined) return;
  this.a = null;
  this.b = null;
} as unknown as new () => Fields;
Fields.prototype = Object.create(null) as Fields;
keepFieldsInside();

/**
 * V8 decides from the first objects of a constructor how many properties the later ones hold inside themselves, up to what its text let
 * it expect: these have as many as that. A commit waits for memory more than for anything else, and a key outside costs one place more:
 * on records of ten keys, ten inside instead of eight save a tenth of the CPU of both sites, and 24 bytes a record.
 */
function keepFieldsInside(): void {
  for (let object = 0; object < 16; object++) {
    const fields = new Fields();
    for (let key = 0; key < FIELDS_INSIDE; key++) fields[`warm${key}`] = 0;
  }
}

/** Most keys a narrow node has; with more it becomes wide, and stays so. Measured: above it, copying a node costs more than a branch. */
const NARROW_LIMIT = 32;

/** An object of the tree. Only the current generation's nodes are ever changed; see Tree. */
export class TreeNode {
  // In the order in which a walk, then a mix reads them: what a walk reads is in one cache line. Measured on a million leaves.
  generation: number;
  fields: Fields | undefined = new Fields();
  branch: Branch<Child> | undefined = undefined;
  /** Its sum changed since its part was last mixed. */
  touched = false;
  /** The frame that last named it in its dictionary, and as what. */
  frame = 0;
  frameId = 0;
  /** Hash of the key it stands under, and what its parent's sum holds for it. */
  keyLo = 0;
  keyHi = 0;
  partLo = 0;
  partHi = 0;
  /** Sum of the children's mixes: the digest, before it is closed. */
  sumLo = 0;
  sumHi = 0;
  size = 0;

  constructor(generation: number) {
    this.generation = generation;
  }
}

export function lookup(node: TreeNode, key: string): Child | undefined {
  if (node.fields !== undefined) return node.fields[key];
  hashKey(key);
  return branchGet(node.branch!, lanes.lo, key);
}

/** As lookup, for a key whose hash is known. */
export function lookupHashed(node: TreeNode, key: string, keyLo: number): Child | undefined {
  return node.fields !== undefined ? node.fields[key] : branchGet(node.branch!, keyLo, key);
}

/** The key of a wide node that bytes spell, its hash in `lanes`; undefined where it is not found, or the node is narrow. */
export function spelledKey(node: TreeNode, bytes: Uint8Array, start: number, end: number): string | undefined {
  if (node.branch === undefined) return undefined;
  hashKeyBytes(bytes, start, end);
  return branchKey(node.branch, lanes.lo, bytes, start, end);
}

/** A copy that belongs to `generation`; its branches and children are shared until they are changed. */
export function copyNode(node: TreeNode, generation: number): TreeNode {
  const copy = new TreeNode(generation);
  copy.size = node.size;
  if (node.fields === undefined) {
    copy.fields = undefined;
    copy.branch = node.branch;
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
 * Sets or removes a child and keeps the sum. `node` must belong to the current generation, and a node that is put in or taken out must
 * not be touched. `old` is the present child.
 */
export function assign(node: TreeNode, key: string, keyLo: number, keyHi: number, old: Child | undefined, child: Child | undefined): void {
  if (old !== undefined) {
    mixChild(old, keyLo, keyHi, false);
    node.sumLo = (node.sumLo - lanes.lo) | 0;
    node.sumHi = (node.sumHi - lanes.hi) | 0;
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
  else node.branch = branchSet(node.branch!, 0, keyLo, key, child, hashOf, node.generation);
}

/** Replaces a node by its copy of another generation: same content, same digest. */
export function adopt(node: TreeNode, key: string, child: TreeNode): void {
  if (node.fields !== undefined) node.fields[key] = child;
  else node.branch = branchSet(node.branch!, 0, child.keyLo, key, child, hashOf, node.generation);
}

/** Leaves in `lanes` what a parent's sum holds for a child under a key. A node that enters remembers it. */
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
    node.branch = branchRemove(node.branch!, 0, keyLo, key, node.generation);
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
  node.branch = branch;
  node.fields = undefined;
}

function hashOf(key: string): number {
  hashKey(key);
  return lanes.lo;
}

export function forEachChild(node: TreeNode, visit: (key: string, child: Child) => void): void {
  if (node.fields === undefined) {
    forEachInBranch(node.branch!, visit);
    return;
  }
  for (const key in node.fields) visit(key, node.fields[key]!);
}

export function childKeys(node: TreeNode): string[] {
  const keys: string[] = [];
  forEachChild(node, key => keys.push(key));
  return keys;
}
