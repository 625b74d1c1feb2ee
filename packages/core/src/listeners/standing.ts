import { exportValue, sameValue } from '../tree/content.ts';
import { forEachDifferentChild } from '../tree/node-difference.ts';
import { forEachChild, lookup, TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { any, type Pattern } from './pattern.ts';
import { getFrom, getInside } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** What stands at a path, inside arrays too; undefined where nothing does. */
export type Standing = Child | Value | undefined;

export function exportStanding(standing: Standing): Value | undefined {
  return standing instanceof TreeNode ? exportValue(standing) : standing;
}

/** Whether two standings, of roots that are pinned, are the same JSON value. Nodes are compared by their digests. */
export function sameStanding(a: Standing, b: Standing): boolean {
  if (a === b) return true;
  if (a instanceof TreeNode && b instanceof TreeNode) return a.size === b.size && a.sumLo === b.sumLo && a.sumHi === b.sumHi;
  // An object inside an array is no node.
  if (a instanceof TreeNode || b instanceof TreeNode) return sameValue(exportStanding(a), exportStanding(b));
  return sameValue(a, b);
}

/** Calls `visit` for each path that matches a pattern and has something standing at it, at or below `path`, which matches as far as it goes. */
export function forEachMatch(root: TreeNode, pattern: Pattern, path: Path, visit: (path: Path, standing: Standing) => void): void {
  descend(pattern, getFrom(root, path), [...path], visit);
}

function descend(pattern: Pattern, at: Standing, path: string[], visit: (path: Path, standing: Standing) => void): void {
  if (at === undefined) return;
  if (path.length === pattern.length) {
    visit([...path], at);
    return;
  }
  const segment = pattern[path.length]!;
  const enter = (key: string, child: Standing): void => {
    path.push(key);
    descend(pattern, child, path, visit);
    path.pop();
  };
  if (segment !== any) enter(segment, step(at, segment));
  else if (at instanceof TreeNode) forEachChild(at, enter);
}

/** Calls `visit` for each path, at or below `path`, that matches a pattern and has another value after than before. Roots are pinned. */
export function forEachDifferentMatch(before: TreeNode, after: TreeNode, pattern: Pattern, path: Path, visit: (path: Path) => void): void {
  descendBoth(pattern, getFrom(before, path), getFrom(after, path), [...path], visit);
}

function descendBoth(pattern: Pattern, before: Standing, after: Standing, path: string[], visit: (path: Path) => void): void {
  if (sameStanding(before, after)) return;
  if (path.length === pattern.length) {
    visit([...path]);
    return;
  }
  const segment = pattern[path.length]!;
  const enter = (key: string, old: Standing, present: Standing): void => {
    path.push(key);
    descendBoth(pattern, old, present, path, visit);
    path.pop();
  };
  if (segment !== any) {
    enter(segment, step(before, segment), step(after, segment));
    return;
  }
  const nodes = [before, after].filter(standing => standing instanceof TreeNode);
  if (nodes.length === 2) forEachDifferentChild(nodes[0]!, nodes[1]!, enter);
  else if (before instanceof TreeNode) forEachChild(before, (key, child) => enter(key, child, undefined));
  else if (after instanceof TreeNode) forEachChild(after, (key, child) => enter(key, undefined, child));
}

function step(standing: Standing, segment: string): Standing {
  if (standing instanceof TreeNode) return lookup(standing, segment);
  return standing === undefined || standing === null || typeof standing !== 'object' ? undefined : getInside(standing, segment);
}
