import type { Operation } from '../frames/change-set.ts';
import { exportValue, sameContent } from '../tree/content.ts';
import { forEachDifferentChild } from '../tree/node-difference.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { getFrom } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** A resolved operation: what is put at the path, or undefined for a delete. */
export interface NetOperation {
  readonly path: Path;
  readonly child: Child | undefined;
}

interface Written {
  /** Its own path was written: nothing below it needs an operation. */
  whole: boolean;
  below: Map<string, Written> | undefined;
}

/**
 * What a transaction changed: the fewest operations on the paths that it wrote. None is above another, and each changes
 * something.
 * @param written the paths in the order of writing; of a put that made parents, the path of the topmost one
 */
export function netOperations(written: readonly Path[], before: TreeNode, after: TreeNode): NetOperation[] {
  const root: Written = { whole: false, below: undefined };
  for (const path of written) markWritten(root, path);
  const operations: NetOperation[] = [];
  collect(root, [], before, after, operations);
  return operations;
}

function markWritten(root: Written, path: Path): void {
  let at = root;
  for (const key of path) {
    if (at.whole) return;
    at.below ??= new Map();
    let next = at.below.get(key);
    if (next === undefined) at.below.set(key, (next = { whole: false, below: undefined }));
    at = next;
  }
  at.whole = true;
  at.below = undefined;
}

function collect(at: Written, path: string[], before: TreeNode, after: TreeNode, operations: NetOperation[]): void {
  if (!at.whole) {
    for (const [key, next] of at.below ?? []) collect(next, [...path, key], before, after, operations);
    return;
  }
  const old = childAt(before, path);
  const child = childAt(after, path);
  if (!sameContent(old, child)) operations.push({ path, child });
}

function childAt(root: TreeNode, path: Path): Child | undefined {
  return getFrom(root, path) as Child | undefined;
}

/**
 * The fewest operations that turn one pinned tree into another. Subtrees with equal digests are not walked.
 */
export function differenceOf(before: TreeNode, after: TreeNode): NetOperation[] {
  const operations: NetOperation[] = [];
  compare(before, after, [], operations);
  return operations;
}

function compare(before: TreeNode, after: TreeNode, path: Path, operations: NetOperation[]): void {
  if (before === after || (before.sumLo === after.sumLo && before.sumHi === after.sumHi && before.size === after.size)) return;
  forEachDifferentChild(before, after, (key, old, child) => {
    if (old instanceof TreeNode && child instanceof TreeNode) compare(old, child, [...path, key], operations);
    else if (!sameContent(old, child)) operations.push({ path: [...path, key], child });
  });
}

/**
 * Operations in the form of change sets. A `value` is built when it is read, so the tree after them has to be pinned.
 */
export function toOperations(operations: readonly NetOperation[]): Operation[] {
  return operations.map(({ path, child }) => (child === undefined ? { type: 'delete', path } : new LazyPut(path, child)));
}

class LazyPut {
  readonly type = 'put';
  readonly path: Path;
  readonly #child: Child;

  constructor(path: Path, child: Child) {
    this.path = path;
    this.#child = child;
  }

  get value(): Value {
    return exportValue(this.#child);
  }
}
