import { exportValue, sameValue } from '../tree/content.ts';
import { forEachDifferentChild } from '../tree/node-difference.ts';
import { forEachChild, lookup, TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { any, type Pattern } from './pattern.ts';
import { getFrom, getInside } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** What is found at a path that matches a pattern, inside arrays too; undefined where nothing is there. */
export type MatchedValue = Child | Value | undefined;

export function exportMatched(value: MatchedValue): Value | undefined {
  return value instanceof TreeNode ? exportValue(value) : value;
}

/** Whether two of them, below pinned roots, are the same JSON value. Nodes are compared by their digests. */
export function sameMatched(a: MatchedValue, b: MatchedValue): boolean {
  if (a === b) return true;
  if (a instanceof TreeNode && b instanceof TreeNode) return a.size === b.size && a.sumLo === b.sumLo && a.sumHi === b.sumHi;
  // An object inside an array is no node.
  if (a instanceof TreeNode || b instanceof TreeNode) return sameValue(exportMatched(a), exportMatched(b));
  return sameValue(a, b);
}

/**
 * Calls `visit` for each path at or below `path` that matches a pattern and has a value.
 * @param path matches the pattern as far as it goes
 */
export function forEachMatch(root: TreeNode, pattern: Pattern, path: Path, visit: (path: Path, value: MatchedValue) => void): void {
  descend(pattern, getFrom(root, path), [...path], visit);
}

function descend(pattern: Pattern, at: MatchedValue, path: string[], visit: (path: Path, value: MatchedValue) => void): void {
  if (at === undefined) return;
  if (path.length === pattern.length) {
    visit([...path], at);
    return;
  }
  const segment = pattern[path.length]!;
  const enter = (key: string, child: MatchedValue): void => {
    path.push(key);
    descend(pattern, child, path, visit);
    path.pop();
  };
  if (segment !== any) enter(segment, step(at, segment));
  else if (at instanceof TreeNode) forEachChild(at, enter);
}

/**
 * Calls `visit` for each path, at or below `path`, that matches a pattern and has another value after than before.
 * Roots are pinned.
 */
export function forEachDifferentMatch(before: TreeNode, after: TreeNode, pattern: Pattern, path: Path, visit: (path: Path) => void): void {
  descendBoth(pattern, getFrom(before, path), getFrom(after, path), [...path], visit);
}

function descendBoth(pattern: Pattern, before: MatchedValue, after: MatchedValue, path: string[], visit: (path: Path) => void): void {
  if (sameMatched(before, after)) return;
  if (path.length === pattern.length) {
    visit([...path]);
    return;
  }
  const segment = pattern[path.length]!;
  const enter = (key: string, old: MatchedValue, present: MatchedValue): void => {
    path.push(key);
    descendBoth(pattern, old, present, path, visit);
    path.pop();
  };
  if (segment !== any) {
    enter(segment, step(before, segment), step(after, segment));
    return;
  }
  const nodes = [before, after].filter(each => each instanceof TreeNode);
  if (nodes.length === 2) forEachDifferentChild(nodes[0]!, nodes[1]!, enter);
  else if (before instanceof TreeNode) forEachChild(before, (key, child) => enter(key, child, undefined));
  else if (after instanceof TreeNode) forEachChild(after, (key, child) => enter(key, undefined, child));
}

function step(value: MatchedValue, segment: string): MatchedValue {
  if (value instanceof TreeNode) return lookup(value, segment);
  return value === undefined || value === null || typeof value !== 'object' ? undefined : getInside(value, segment);
}
