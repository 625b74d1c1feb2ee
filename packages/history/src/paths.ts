import { getInside, type Path, PathSet, ROOT, type SnapshotNode, type Value } from '@evertree/core';

/** A set of one path. */
export function setOf(path: Path): PathSet {
  const set = new PathSet();
  set.add(path);
  return set;
}

/** A set of several paths. */
export function setOfAll(paths: Iterable<Path>): PathSet {
  const set = new PathSet();
  for (const path of paths) set.add(path);
  return set;
}

/** The paths of a set: none is above another. */
export function* pathsIn({ root }: PathSet): Generator<Path> {
  yield* pathsBelow(root, ROOT);
}

function* pathsBelow({ isWhole, children }: PathSet['root'], path: Path): Generator<Path> {
  if (isWhole) yield path;
  for (const [key, below] of children) yield* pathsBelow(below, [...path, key]);
}

/** Whether `upper` is `path` or above it. */
export function isAtOrAbove(upper: Path, path: Path): boolean {
  return upper.length <= path.length && upper.every((key, level) => key === path[level]);
}

/** The lower one of two paths, of which one is the other or above it. */
export function lowerOf(a: Path, b: Path): Path {
  return a.length >= b.length ? a : b;
}

/** What is at a path inside a value: also in arrays, and in objects inside them. */
export function insideOf(value: Value | undefined, path: Path): Value | undefined {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = getInside(at, key);
  }
  return at;
}

/** What stands at a path: an object of the tree, or a plain value. */
export type Content = SnapshotNode | Value | undefined;

/** An object of the tree, as it is pinned or as a plain value. */
export type ObjectContent = SnapshotNode | { readonly [key: string]: Value };

/** Whether something is an object of the tree, and neither a leaf nor an array. */
export function isObject(content: Content): content is ObjectContent {
  return typeof content === 'object' && content !== null && !Array.isArray(content);
}
