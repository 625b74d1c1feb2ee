import { formatPath, SnapshotNode, type Path, type Snapshot, type Value } from '@evertree/core';
import { jsonSlices } from './json-slices.ts';
import { ANY, formatPattern, hasWildcard, type WatchPattern } from './watch-pattern.ts';
import { plainPosition } from './write.ts';

/** The data of a `state` event, in slices: what stands at a path, or at each path that matches a pattern. */
export function* stateSlices(snapshot: Snapshot, pattern: WatchPattern): Generator<string> {
  const head = JSON.stringify({ position: plainPosition(snapshot.position), path: formatPattern(pattern) }).slice(0, -1);
  if (!hasWildcard(pattern)) {
    const path = pattern as Path;
    yield snapshot.has(path) ? `${head},"value":` : head;
    yield* jsonSlices(snapshot, path);
    yield '}';
    return;
  }
  yield `${head},"values":{`;
  let separator = '';
  const top = snapshot.at([]);
  for (const path of top instanceof SnapshotNode ? matchingPaths(top, pattern, []) : []) {
    yield `${separator}${JSON.stringify(formatPath(path))}:`;
    yield* jsonSlices(snapshot, path);
    separator = ',';
  }
  yield '}}';
}

function* matchingPaths(node: SnapshotNode, [segment, ...rest]: WatchPattern, path: Path): Generator<Path> {
  for (const key of segment === ANY ? node.keys() : [segment as string]) {
    const child: SnapshotNode | Value | undefined = node.child(key);
    if (child === undefined) continue;
    if (rest.length === 0) yield [...path, key];
    else if (child instanceof SnapshotNode) yield* matchingPaths(child, rest, [...path, key]);
  }
}
