import type { Operation } from '../frames/change-set.ts';
import { exportValue, sameContent } from '../tree/content.ts';
import { forEachDifferentChild } from '../tree/node-difference.ts';
import { lookup, TreeNode, type Child } from '../tree/node.ts';
import { ROOT, type Path } from '../tree/path.ts';
import { SteadyMap } from '../steady-map.ts';
import { finishSteps } from '../turn.ts';
import type { Value } from '../tree/value.ts';

/** A resolved operation: what is put at the path, or undefined for a delete. */
export interface NetOperation {
  readonly path: Path;
  readonly child: Child | undefined;
}

/** A write that changed the tree. */
export interface TreeWrite extends NetOperation {
  /** `child` is what the write left at `path`. False: look what stands there. */
  readonly exact: boolean;
}

/** What was written below an object, by key: a path that was written itself covers everything below it. */
type Written = SteadyMap<Written | TreeWrite>;

/** As netSteps, without a pause. */
export function netOperations(writes: readonly TreeWrite[], before: TreeNode, after: TreeNode): readonly NetOperation[] {
  return finishSteps(netSteps(writes, before, after));
}

/** Objects that are compared between two pauses. */
const STEP_OBJECTS = 64;

/** Writes that are looked at between two pauses: a tenth of a millisecond of work. */
const STEP_WRITES = 512;

/**
 * What a transaction changed: the fewest operations on the paths that it wrote. None is above another, and each changes
 * something. A path that was written once, with no other write above or below it, has changed for sure; where others met,
 * the trees before and after are compared. Pauses after each 512 writes.
 * @param writes in their order; of a put that made parents, the path of the topmost one
 */
export function* netSteps(writes: readonly TreeWrite[], before: TreeNode, after: TreeNode): Generator<void, readonly NetOperation[]> {
  const gathered = new GatheredWrites();
  for (let from = 0; from < writes.length && gathered.whole === undefined; from += STEP_WRITES) {
    if (from > 0) yield;
    gathered.add(writes, from, Math.min(from + STEP_WRITES, writes.length));
  }
  const { whole, root, met } = gathered;
  if (whole !== undefined) return sameContent(before, after) ? [] : [{ path: whole.path, child: after }];
  // Most transactions write each path once: their writes are the operations, and no tree has to be read.
  if (!met) return writes;
  const operations: NetOperation[] = [];
  yield* collect(root, before, after, operations);
  return operations;
}

class GatheredWrites {
  readonly root: Written = new SteadyMap();
  /** A write of the whole tree: no other one counts. */
  whole: TreeWrite | undefined;
  /** Some writes have equal paths, or one is above another, or it is not known what one of them left. */
  met = false;
  /** The maps along `#last`, up to the level `#known`. Paths that follow one another often have the same parents. */
  readonly #trail = [this.root];
  #last: Path = ROOT;
  #known = 0;

  add(writes: readonly TreeWrite[], from: number, to: number): void {
    const trail = this.#trail;
    let last = this.#last;
    let known = this.#known;
    for (let index = from; index < to; index++) {
      const write = writes[index]!;
      const { path } = write;
      if (path.length === 0) {
        this.whole = write;
        return;
      }
      const end = path.length - 1;
      let level = 0;
      while (level < end && level < known && path[level] === last[level]) level++;
      let at = trail[level];
      while (level < end) {
        at = this.#enter(at!, path[level]!);
        if (at === undefined) break;
        trail[++level] = at;
      }
      if (at !== undefined) this.#add(at, path[end]!, write);
      last = path;
      known = level;
    }
    this.#last = last;
    this.#known = known;
  }

  /** What was written below a key; undefined if the key's own path was written, which then covers this write too. */
  #enter(at: Written, key: string): Written | undefined {
    const next = at.get(key);
    if (next instanceof SteadyMap) return next;
    if (next === undefined) {
      const below: Written = new SteadyMap();
      at.set(key, below);
      return below;
    }
    this.met = true;
    if (next.exact) at.set(key, inexact(next));
    return undefined;
  }

  #add(at: Written, key: string, write: TreeWrite): void {
    const isFirst = at.get(key) === undefined;
    if (!isFirst || !write.exact) this.met = true;
    at.set(key, isFirst || !write.exact ? write : inexact(write));
  }
}

function inexact({ path }: TreeWrite): TreeWrite {
  return { path, child: undefined, exact: false };
}

function* collect(at: Written, before: Child | undefined, after: Child | undefined, operations: NetOperation[]): Generator<void> {
  let left = STEP_WRITES;
  for (const [key, next] of at) {
    if (--left === 0) {
      left = STEP_WRITES;
      yield;
    }
    if (!(next instanceof SteadyMap) && next.exact) {
      operations.push(next);
      continue;
    }
    const old = before instanceof TreeNode ? lookup(before, key) : undefined;
    const child = after instanceof TreeNode ? lookup(after, key) : undefined;
    if (next instanceof SteadyMap) yield* collect(next, old, child, operations);
    else if (!sameContent(old, child)) operations.push({ path: next.path, child });
  }
}

/**
 * The fewest operations that turn one pinned tree into another, in steps. Subtrees with equal digests are not walked. What
 * differs directly in one object is listed in one step, and so are two arrays compared.
 */
export function* differenceSteps(before: TreeNode, after: TreeNode): Generator<void, readonly NetOperation[]> {
  const operations: NetOperation[] = [];
  yield* compare({ path: ROOT, old: before, child: after }, operations, { compared: 0 });
  return operations;
}

interface ComparedNodes {
  readonly path: Path;
  readonly old: TreeNode;
  readonly child: TreeNode;
}

/** @param progress how many objects were compared so far */
function* compare(nodes: ComparedNodes, operations: NetOperation[], progress: { compared: number }): Generator<void> {
  if (++progress.compared % STEP_OBJECTS === 0) yield;
  const { path, old: before, child: after } = nodes;
  const found: (NetOperation | ComparedNodes)[] = [];
  forEachDifferentChild(before, after, (key, old, child) => {
    if (!(old instanceof TreeNode && child instanceof TreeNode)) {
      if (!sameContent(old, child)) found.push({ path: [...path, key], child });
    } else if (old.sumLo !== child.sumLo || old.sumHi !== child.sumHi || old.size !== child.size) {
      found.push({ path: [...path, key], old, child });
    }
  });
  for (const each of found) {
    if ('old' in each) yield* compare(each, operations, progress);
    else operations.push(each);
  }
}

/**
 * Operations in the form of change sets. A `value` is built when it is read, so the tree after them has to be pinned.
 */
export function toOperations(operations: readonly NetOperation[]): Operation[] {
  return operations.map(toOperation);
}

/** One of them. */
export function toOperation({ path, child }: NetOperation): Operation {
  return child === undefined ? { type: 'delete', path } : new LazyPut(path, child);
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
