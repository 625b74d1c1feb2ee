import {
  any,
  formatPath,
  parsePath,
  parsePattern,
  type Operation,
  type Path,
  type Pattern,
  type Snapshot,
  type SnapshotNode,
  type Value,
} from '@evertree/core';
import { membersOf } from './json-slices.ts';
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

/** The same, of an object that may be read piece by piece. */
export type ClippedOperation = readonly ['put', string, SnapshotNode | Value] | readonly ['delete', string];

/**
 * What an operation means for the paths that match a pattern. An operation at such a path or below one is kept, and one
 * beside them is left out. One above them is cut to the one path that matches in it. Where a wildcard hides what was
 * there, it becomes a `delete` of that subtree and a `put` of each match in its new value. Undefined is a pause.
 */
export function clip(operation: Operation<SnapshotNode | Value>, pattern: Pattern): Iterable<ClippedOperation | undefined> {
  const { path } = operation;
  const common = Math.min(path.length, pattern.length);
  // Most operations do not concern most watches.
  for (let level = 0; level < common; level++) {
    if (pattern[level] !== any && pattern[level] !== path[level]) return NOTHING;
  }
  if (path.length < pattern.length) return clipAbove(operation, pattern.slice(path.length));
  return [operation.type === 'put' ? ['put', formatPath(path), operation.value] : ['delete', formatPath(path)]];
}

const NOTHING: readonly never[] = [];

/** @param rest of the pattern, behind the operation's path */
function* clipAbove(operation: Operation<SnapshotNode | Value>, rest: Pattern): Generator<ClippedOperation | undefined> {
  const { path } = operation;
  const isHidden = rest.includes(any);
  if (isHidden) yield ['delete', formatPath(path)];
  let isFound = false;
  for (const match of operation.type === 'put' ? matchesIn(operation.value, rest, path) : NOTHING) {
    isFound ||= match !== undefined;
    yield match === undefined ? undefined : ['put', formatPath(match.path), match.content];
  }
  if (!isHidden && !isFound) yield ['delete', formatPath([...path, ...(rest as Path)])];
}

/** A path that matches a pattern, and what stands there. */
interface ContentMatch {
  readonly path: Path;
  readonly content: SnapshotNode | Value;
}

/** What matches a pattern in a snapshot, in no certain order. Undefined is a pause: many children were looked at. */
export function matchesOf(snapshot: Snapshot, pattern: Pattern): Iterable<ContentMatch | undefined> {
  return matchesIn(snapshot.at([])!, pattern, []);
}

/** The same below `path`, where `content` stands. Nothing matches inside an array. */
function matchesIn(content: SnapshotNode | Value, rest: Pattern, path: Path): Iterable<ContentMatch | undefined> {
  return rest.length === 0 ? [{ path, content }] : matchesBelow(content, rest, path, { children: 0 });
}

/** So many children are looked at between two pauses: a millisecond or two. */
const LOOKED_CHILDREN = 1_024;

function* matchesBelow(
  content: SnapshotNode | Value,
  [segment, ...rest]: Pattern,
  path: Path,
  looked: { children: number },
): Generator<ContentMatch | undefined> {
  const members = membersOf(content);
  if (members === undefined) return;
  for (const key of segment === any ? members.keys() : [segment as string]) {
    if (++looked.children % LOOKED_CHILDREN === 0) yield undefined;
    const child = members.child(key);
    if (child === undefined) continue;
    if (rest.length === 0) yield { path: [...path, key], content: child };
    else yield* matchesBelow(child, rest, [...path, key], looked);
  }
}
