import {
  any,
  formatPath,
  parsePath,
  parsePattern,
  type Operation,
  type Path,
  type Pattern,
  type Snapshot,
  SnapshotNode,
  type Value,
} from '@evertree/core';
import { decodeSegment, pathBelow, type RequestTarget } from './target.ts';

/**
 * The pattern that a target means below `/watch`: `*` as a whole segment is a wildcard, `%2A` is the key.
 * @throws EvertreeError PATH_INVALID; RequestError REQUEST_INVALID
 */
export function targetPattern(target: RequestTarget): Pattern {
  const rest = pathBelow(target, '/watch', ['from']);
  if (typeof rest !== 'string') return parsePattern(rest.pointer);
  if (rest === '') return [];
  const segments = rest.split('/').slice(1);
  return segments.map(segment => (segment === '*' ? any : parsePath(`/${decodeSegment(segment).replaceAll('/', '~1')}`)[0]!));
}

/** One text for each pattern: a wildcard is no key. */
export function patternKey(pattern: Pattern): string {
  return JSON.stringify(pattern.map(segment => (segment === any ? null : segment)));
}

/** An operation as `POST /batch` takes it, its path a pointer from the root. */
export type PlainOperation = readonly ['put', string, Value] | readonly ['delete', string];

/**
 * What an operation means for the paths that match a pattern. An operation at such a path or below one is kept, and one
 * beside them is left out. One above them is cut to the one path that matches in it. Where a wildcard hides what was
 * there, it becomes a `delete` of that subtree and a `put` of each match in its new value.
 */
export function clip(operation: Operation, pattern: Pattern): readonly PlainOperation[] {
  const { path } = operation;
  const common = Math.min(path.length, pattern.length);
  // Most operations do not concern most watches.
  for (let level = 0; level < common; level++) {
    if (pattern[level] !== any && pattern[level] !== path[level]) return NOTHING;
  }
  if (path.length >= pattern.length) {
    return [operation.type === 'put' ? ['put', formatPath(path), operation.value] : ['delete', formatPath(path)]];
  }
  const rest = pattern.slice(path.length);
  const puts: PlainOperation[] = [];
  for (const [matched, value] of operation.type === 'put' ? matchesIn(operation.value, rest, path) : NOTHING) {
    puts.push(['put', formatPath(matched), value]);
  }
  if (rest.includes(any)) return [['delete', formatPath(path)], ...puts];
  return puts.length > 0 ? puts : [['delete', formatPath([...path, ...(rest as Path)])]];
}

const NOTHING: readonly never[] = [];

/** The values at the paths below `path` that match the rest of a pattern. Nothing matches inside an array. */
function* matchesIn(value: Value, rest: Pattern, path: Path): Generator<[Path, Value]> {
  const [segment, ...further] = rest;
  if (segment === undefined) {
    yield [path, value];
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const object = value as { readonly [key: string]: Value };
  const keys = segment === any ? Object.keys(object) : Object.hasOwn(object, segment) ? [segment] : [];
  for (const key of keys) yield* matchesIn(object[key]!, further, [...path, key]);
}

/**
 * The paths of a snapshot that match a pattern with a wildcard, in no certain order. Undefined is a pause: many children
 * were looked at.
 */
export function matchingPaths(snapshot: Snapshot, pattern: Pattern): Iterable<Path | undefined> {
  const top = snapshot.at([]);
  return top instanceof SnapshotNode ? pathsBelow(top, pattern, [], { children: 0 }) : [];
}

/** So many children are looked at between two pauses: a millisecond or two. */
const LOOKED_CHILDREN = 1_024;

function* pathsBelow(
  node: SnapshotNode,
  [segment, ...rest]: Pattern,
  path: Path,
  looked: { children: number },
): Generator<Path | undefined> {
  for (const key of segment === any ? node.keys() : [segment as string]) {
    if (++looked.children % LOOKED_CHILDREN === 0) yield undefined;
    const child: SnapshotNode | Value | undefined = node.child(key);
    if (child === undefined) continue;
    if (rest.length === 0) yield [...path, key];
    else if (child instanceof SnapshotNode) yield* pathsBelow(child, rest, [...path, key], looked);
  }
}
