import { FIRST_PAIR, type Branch } from './branch.ts';
import { childKeys, forEachChild, lookup, assign, TreeNode, type Child } from './node.ts';
import { hashKey, lanes } from './digest.ts';
import type { Path } from './path.ts';
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
    for (const key in node.fields) {
      const item = node.fields[key]!;
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
  if (a instanceof TreeNode && b instanceof TreeNode) {
    if (a.size !== b.size) return false;
    return childKeys(a).every(key => sameContent(lookup(a, key), lookup(b, key)));
  }
  return sameValue(a as Value | undefined, b as Value | undefined);
}

/** Whether two plain JSON values are the same; keys in any order. */
export function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, index) => sameValue(item as Value, b[index] as Value))
    );
  }
  const left = a as { readonly [key: string]: Value };
  const right = b as { readonly [key: string]: Value };
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every(key => Object.hasOwn(right, key) && sameValue(left[key], right[key]));
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
