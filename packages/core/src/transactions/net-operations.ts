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
  /** Its own path was written: what is below needs no operation of its own. */
  whole: boolean;
  below: Map<string, Written> | undefined;
}

/**
 * What a transaction changed, as the least operations on the paths it wrote: none above another, none that changes nothing.
 * @param written the paths in the order of writing; where parents were made, the path of the topmost one
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
 * The least operations that turn one pinned tree into another. Equal subtrees are told by their digests and not walked.
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

/** As listeners and tools see them; `value` is built when it is read. The tree after them has to be pinned. */
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
