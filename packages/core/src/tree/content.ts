import { BITMAP, FIRST_PAIR, type Branch } from './branch.ts';
import { eachChild, forEachChild, lookup, assign, TreeNode, type Child } from './node.ts';
import { hashKey, lanes } from './digest.ts';
import type { Path } from './path.ts';
import { slotAt } from './node-slots.ts';
import { checkContainer, checkKey, checkLeaf, define, freezeCopy, type Value } from './value.ts';

/**
 * Makes the tree's own form of a JSON value: objects become nodes, arrays frozen copies.
 * @param path where it will stand, for errors; its length counts towards DEPTH_LIMIT
 * @throws EvertreeError VALUE_INVALID naming the place
 */
export function importValue(value: unknown, path: Path, generation: number): Child {
  if (typeof value !== 'object' || value === null) return checkLeaf(value, path);
  if (Array.isArray(value)) return freezeCopy(value, path, path.length) as Child;
  return importObject(value as { readonly [key: string]: unknown }, path, generation, []);
}

function importObject(object: { readonly [key: string]: unknown }, path: Path, generation: number, ancestors: object[]): TreeNode {
  checkContainer(object, path, path.length, ancestors);
  ancestors.push(object);
  const node = new TreeNode(generation);
  for (const key of Object.keys(object)) {
    checkKey(key, path);
    const item = object[key];
    let child: Child;
    if (typeof item !== 'object' || item === null) child = checkLeafAt(item, path, key);
    else if (Array.isArray(item)) child = freezeCopy(item, [...path, key], path.length + 1, ancestors) as Child;
    else child = importObject(item as { readonly [key: string]: unknown }, [...path, key], generation, ancestors);
    hashKey(key);
    assign(node, key, lanes.lo, lanes.hi, undefined, child);
  }
  ancestors.pop();
  return node;
}

/** As checkLeaf, but makes the path only if the leaf may be refused or changed. */
function checkLeafAt(item: unknown, path: Path, key: string): Child {
  const plain = typeof item === 'boolean' || (typeof item === 'number' && Number.isFinite(item) && item !== 0);
  return plain ? item : checkLeaf(item, [...path, key]);
}

/** The JSON value of a child. Objects are built anew; leaves and arrays are those of the tree. */
export function exportValue(child: Child): Value {
  if (!(child instanceof TreeNode)) return child;
  const object: { [key: string]: Value } = {};
  forEachChild(child, (key, item) => define(object, key, item instanceof TreeNode ? exportValue(item) : item));
  return object;
}

/** As exportValue of an object, in steps of a few dozen children. */
export function* exportSteps(node: TreeNode): Generator<undefined, Value> {
  const object: { [key: string]: Value } = {};
  if (node.branch === undefined) {
    for (const [key, item] of eachChild(node)) {
      define(object, key, item instanceof TreeNode ? yield* exportSteps(item) : item);
    }
    yield;
    return object;
  }
  yield* exportBranch(node.branch, object);
  return object;
}

function* exportBranch(branch: Branch<Child>, object: { [key: string]: Value }): Generator<undefined> {
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    const key = branch[slot];
    const item = branch[slot + 1];
    if (key === undefined) yield* exportBranch(item as Branch<Child>, object);
    else define(object, key as string, item instanceof TreeNode ? yield* exportSteps(item) : (item as Value));
  }
  yield;
}

/** Whether two children are the same JSON value. */
export function sameContent(a: Child | undefined, b: Child | undefined): boolean {
  if (a === b) return true;
  if (!(a instanceof TreeNode) || !(b instanceof TreeNode)) return sameValue(a as Value | undefined, b as Value | undefined);
  if (a.size !== b.size) return false;
  if (a.branch !== undefined && b.branch !== undefined) return sameBranch(a.branch, b.branch, b);
  if (a.branch !== undefined) return hasAllOf(b, a.branch);
  return sameSlots(a, b);
}

/** Whether all that a narrow node holds stands in another node, too. Nodes of one shape are read side by side. */
function sameSlots(a: TreeNode, b: TreeNode): boolean {
  const { keys } = a.shape!;
  for (let index = 0; index < keys.length; index++) {
    const other = a.shape === b.shape ? slotAt(b, index) : lookup(b, keys[index]!);
    if (!sameContent(slotAt(a, index), other)) return false;
  }
  return true;
}

/**
 * Whether all that one branch holds stands in another node, too. Branches of equal keys are alike as a rule and are read
 * side by side: a look-up of each key would wait for memory five times as long.
 * @param other the branch of `node` at the same place
 */
function sameBranch(branch: Branch<Child>, other: Branch<Child>, node: TreeNode): boolean {
  if (branch === other) return true;
  if (branch.length !== other.length || branch[BITMAP] !== other[BITMAP]) return hasAllOf(node, branch);
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    const key = branch[slot];
    if (key !== other[slot]) return hasAllOf(node, branch);
    const same =
      key === undefined
        ? sameBranch(branch[slot + 1] as Branch<Child>, other[slot + 1] as Branch<Child>, node)
        : sameContent(branch[slot + 1] as Child, other[slot + 1] as Child);
    if (!same) return false;
  }
  return true;
}

function hasAllOf(node: TreeNode, branch: Branch<Child>): boolean {
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    const key = branch[slot];
    const child = branch[slot + 1];
    const has = key === undefined ? hasAllOf(node, child as Branch<Child>) : sameContent(child as Child, lookup(node, key as string));
    if (!has) return false;
  }
  return true;
}

/** Whether a child is this plain JSON value. Of a large object no more is read than of the value. */
export function isValue(child: Child | Value | undefined, value: Value | undefined): boolean {
  if (!(child instanceof TreeNode)) return sameValue(child, value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const object = value as { readonly [key: string]: Value };
  const keys = Object.keys(object);
  return keys.length === child.size && keys.every(key => isValue(lookup(child, key), object[key]));
}

/** Whether two plain JSON values are the same; keys in any order. */
export function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && sameItems(a, b);
  const left = a as { readonly [key: string]: Value };
  const right = b as { readonly [key: string]: Value };
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  for (const key of keys) if (!Object.hasOwn(right, key) || !sameValue(left[key], right[key])) return false;
  return true;
}

/** A plain loop: a callback for each of half a million numbers takes ten times as long. */
function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    const item = a[index];
    if (item !== b[index] && !sameValue(item, b[index])) return false;
  }
  return true;
}

/** Members that are compared between two pauses: less than a millisecond of work. */
const COMPARED_A_STEP = 512;

/** As sameValue, in steps; but the keys of an object are listed in one. Neither value may change meanwhile. */
export function sameSteps(a: Value, b: Value): Generator<undefined, boolean> {
  return compareSteps(a, b, { members: 0 });
}

/** @param progress the members that were compared so far, at all levels */
function* compareSteps(a: Value | undefined, b: Value | undefined, progress: { members: number }): Generator<undefined, boolean> {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Array.isArray(a) ? undefined : Object.keys(a);
  const size = keys?.length ?? (a as readonly Value[]).length;
  if (size !== (keys === undefined ? (b as readonly Value[]) : Object.keys(b)).length) return false;
  for (let index = 0; index < size; index++) {
    if (++progress.members % COMPARED_A_STEP === 0) yield;
    if (keys !== undefined && !Object.hasOwn(b, keys[index]!)) return false;
    const key = (keys?.[index] ?? index) as keyof Value;
    if (a[key] !== b[key] && !(yield* compareSteps(a[key], b[key], progress))) return false;
  }
  return true;
}

/** As sameContent of two objects, in steps; but an array inside them is one. Neither may change meanwhile. */
export function sameObjectSteps(a: TreeNode, b: TreeNode): Generator<undefined, boolean> {
  return compareObjects(a, b, { members: 0 });
}

/** @param progress the members that were compared since the last pause, at all levels */
function* compareObjects(a: TreeNode, b: TreeNode, progress: { members: number }): Generator<undefined, boolean> {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  if (a.branch !== undefined) return yield* compareBranches(a.branch, b.branch, b, progress);
  const { keys } = a.shape!;
  progress.members += keys.length;
  if (progress.members >= COMPARED_A_STEP) {
    progress.members = 0;
    yield;
  }
  for (let index = 0; index < keys.length; index++) {
    const child = slotAt(a, index);
    const other = a.shape === b.shape ? slotAt(b, index) : lookup(b, keys[index]!);
    const areObjects = child instanceof TreeNode && other instanceof TreeNode;
    if (!(areObjects ? yield* compareObjects(child, other, progress) : sameContent(child, other))) return false;
  }
  return true;
}

/** As sameBranch, in steps. @param other undefined: the keys are looked up in `node` */
function* compareBranches(
  branch: Branch<Child>,
  other: Branch<Child> | undefined,
  node: TreeNode,
  progress: { members: number },
): Generator<undefined, boolean> {
  if (branch === other) return true;
  const isAlike = other !== undefined && branch.length === other.length && branch[BITMAP] === other[BITMAP];
  progress.members += branch.length >> 1;
  if (progress.members >= COMPARED_A_STEP) {
    progress.members = 0;
    yield;
  }
  for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
    const key = branch[slot] as string | undefined;
    const child = branch[slot + 1];
    const beside = isAlike && key === other[slot] ? other[slot + 1] : undefined;
    if (key === undefined) {
      const inner = child as Branch<Child>;
      if (!(yield* compareBranches(inner, beside as Branch<Child> | undefined, node, progress))) return false;
      continue;
    }
    const present = (beside as Child | undefined) ?? lookup(node, key);
    const areObjects = child instanceof TreeNode && present instanceof TreeNode;
    if (!(areObjects ? yield* compareObjects(child, present, progress) : sameContent(child as Child, present))) return false;
  }
  return true;
}

/** A value's size in bytes, approximately: 8 for each value, the bytes of its texts and the characters of its keys. */
export function measure(value: Child | Value): number {
  // A short text's length is near enough: a native call costs more.
  if (typeof value === 'string') return 8 + (value.length > 16 ? Buffer.byteLength(value) : value.length);
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 8;
  if (value instanceof TreeNode) {
    forEachChild(value, (key, child) => {
      bytes += key.length + measure(child);
    });
  } else if (Array.isArray(value)) {
    for (const item of value as readonly Value[]) bytes += measure(item);
  } else {
    for (const [key, item] of Object.entries(value)) bytes += key.length + measure(item);
  }
  return bytes;
}
