import { exportValue, isValue, sameValue } from '../tree/content.ts';
import { forEachDifferentChild } from '../tree/node-difference.ts';
import { eachChild, lookup, TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { any, type Pattern } from './pattern.ts';
import { getInside } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** What is found at a path that matches a pattern, inside arrays too; undefined where nothing is there. */
export type MatchedValue = Child | Value | undefined;

export function exportMatched(value: MatchedValue): Value | undefined {
  return value instanceof TreeNode ? exportValue(value) : value;
}

/**
 * Whether two of them, below pinned roots, are the same JSON value. Nodes are compared by their digests. An object inside
 * an array is no node; of a large node no more is read than of that object.
 */
export function sameMatched(a: MatchedValue, b: MatchedValue): boolean {
  if (a === b) return true;
  if (a instanceof TreeNode) return b instanceof TreeNode ? a.size === b.size && a.sumLo === b.sumLo && a.sumHi === b.sumHi : isValue(a, b);
  return b instanceof TreeNode ? isValue(b, a) : sameValue(a, b);
}

/** A path that matches a pattern, and what stands there. */
export interface Match {
  readonly path: Path;
  readonly value: MatchedValue;
}

/** So many children are looked at between two pauses: a millisecond at most. */
const LOOKED_CHILDREN = 1_024;

/**
 * Each path at or below `path` that matches a pattern and has a value; undefined is a pause.
 * @param path matches the pattern as far as it goes
 */
export function matchesBelow(root: TreeNode, pattern: Pattern, path: Path): Generator<Match | undefined> {
  return new Descent(pattern, path).matches(getMatched(root, pattern, path));
}

/**
 * What stands at a path that matches a pattern as far as it goes. A wildcard stands for keys of objects in the tree: an
 * item of an array that has the same path is no match.
 */
export function getMatched(root: TreeNode, pattern: Pattern, path: Path): MatchedValue {
  let at: MatchedValue = root;
  for (let level = 0; level < path.length; level++) {
    at = pattern[level] === any && !(at instanceof TreeNode) ? undefined : step(at, path[level]!);
  }
  return at;
}

/**
 * Each path, at or below `path`, that matches a pattern and has another value after than before; undefined is a pause.
 * Roots are pinned.
 */
export function differentMatches(before: TreeNode, after: TreeNode, pattern: Pattern, path: Path): Generator<Path | undefined> {
  return new Descent(pattern, path).differences(getMatched(before, pattern, path), getMatched(after, pattern, path));
}

/** Goes down one tree or two, along a pattern. */
class Descent {
  readonly #pattern: Pattern;
  /** Where it is. */
  readonly #path: string[];
  #looked = 0;

  constructor(pattern: Pattern, path: Path) {
    this.#pattern = pattern;
    this.#path = [...path];
  }

  *matches(at: MatchedValue): Generator<Match | undefined> {
    if (at === undefined) return;
    const path = this.#path;
    if (path.length === this.#pattern.length) {
      yield { path: [...path], value: at };
      return;
    }
    const segment = this.#pattern[path.length]!;
    if (segment !== any) {
      path.push(segment);
      yield* this.matches(step(at, segment));
      path.pop();
    } else if (at instanceof TreeNode) {
      for (const [key, child] of eachChild(at)) {
        path.push(key);
        yield* this.matches(child);
        path.pop();
        if (++this.#looked % LOOKED_CHILDREN === 0) yield undefined;
      }
    }
  }

  *differences(before: MatchedValue, after: MatchedValue): Generator<Path | undefined> {
    if (sameMatched(before, after)) return;
    const path = this.#path;
    if (path.length === this.#pattern.length) {
      yield [...path];
      return;
    }
    const segment = this.#pattern[path.length]!;
    const children = segment === any ? childrenOfBoth(before, after) : [[segment, step(before, segment), step(after, segment)] as const];
    for (const [key, old, present] of children) {
      path.push(key);
      yield* this.differences(old, present);
      path.pop();
      if (++this.#looked % LOOKED_CHILDREN === 0) yield undefined;
    }
  }
}

type ChildOfBoth = readonly [key: string, before: Child | undefined, after: Child | undefined];

/** The children that may differ. Those of two nodes are found in one step: wide nodes share what did not change. */
function childrenOfBoth(before: MatchedValue, after: MatchedValue): Iterable<ChildOfBoth> {
  if (before instanceof TreeNode && after instanceof TreeNode) {
    const children: ChildOfBoth[] = [];
    forEachDifferentChild(before, after, (key, old, present) => children.push([key, old, present]));
    return children;
  }
  if (before instanceof TreeNode) return childrenOfOne(before, true);
  return after instanceof TreeNode ? childrenOfOne(after, false) : [];
}

function* childrenOfOne(node: TreeNode, isBefore: boolean): Generator<ChildOfBoth> {
  for (const [key, child] of eachChild(node)) yield isBefore ? [key, child, undefined] : [key, undefined, child];
}

function step(value: MatchedValue, segment: string): MatchedValue {
  if (value instanceof TreeNode) return lookup(value, segment);
  return value === undefined || value === null || typeof value !== 'object' ? undefined : getInside(value, segment);
}
