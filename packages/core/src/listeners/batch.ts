import type { Operation } from '../frames/change-set.ts';
import type { TreeNode } from '../tree/node.ts';
import { formatPath, ROOT, type Path } from '../tree/path.ts';
import { hasWildcard, type Pattern } from './pattern.ts';
import type { Position } from '../position.ts';
import { exportMatched, forEachDifferentMatch, forEachMatch, sameMatched, type MatchedValue } from './matched-value.ts';
import { getFrom } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/**
 * - `write`: it is new, or was replaced whole by an operation at or above its path. Leaves and arrays are only ever written.
 * - `subtree-modified`: operations below its path changed it.
 * - `delete`: it is gone; in an initial batch, it isn't there.
 */
export type ChangeType = 'write' | 'delete' | 'subtree-modified';

/** What became of one place that a listener watches. */
export interface Modification {
  /** The pointer of the place. */
  readonly path: string;
  readonly segments: Path;
  readonly type: ChangeType;
  /**
   * The value before and after; undefined where nothing stood. Each is made when it is first read, from a pinned tree: one that nobody
   * reads costs nothing. Keep values rather than modifications, which keep two trees.
   */
  readonly before: Value | undefined;
  readonly after: Value | undefined;
  /**
   * The operations that made it so: those at or below the path, and the one above that took it along. Empty in an initial batch;
   * undefined where too many commits were merged to keep theirs (then every change that is no `delete` is a `write`).
   */
  readonly operations: readonly Operation[] | undefined;
}

/** What a listener is called with: the state when it was registered, then what each commit that concerns it changed. */
export interface Batch {
  /** Whether it is the first one, which tells the present state. */
  readonly initial: boolean;
  /** The position that `before` belongs to. */
  readonly from: Position;
  /** The position that `after` belongs to. */
  readonly position: Position;
  /** Commit time of `position`, in milliseconds since 1970. */
  readonly time: number;
  readonly changes: readonly Modification[];
  /** How many commits it tells of: 1, or more where the listener fell behind; 0 for the initial one. */
  readonly merged: number;
}

/** Two states of a tree, both pinned, and what led from the one to the other. */
export interface Transition {
  readonly before: TreeNode;
  readonly after: TreeNode;
  /** Those that concern the pattern in question, in order; undefined where they were not kept. */
  readonly operations: readonly Operation[] | undefined;
}

/**
 * The present state: a `write` for each place that matches. A pattern without wildcards has a place even where nothing stands: a
 * `delete` tells so.
 */
export function presentState(pattern: Pattern, root: TreeNode): Modification[] {
  const modifications: Modification[] = [];
  const add = (path: Path, type: ChangeType, value: MatchedValue): void => {
    modifications.push(modification(path, type, undefined, value, INITIAL));
  };
  forEachMatch(root, pattern, ROOT, (path, value) => add(path, 'write', value));
  if (modifications.length === 0 && !hasWildcard(pattern)) add(pattern as Path, 'delete', undefined);
  return modifications;
}

const INITIAL = { operations: Object.freeze<Operation[]>([]) };

/** What became of each place that matches a pattern, where its value is another one after than before. */
export function modificationsOf(pattern: Pattern, transition: Transition): Modification[] {
  const { before, after, operations } = transition;
  const modifications: Modification[] = [];
  for (const place of operations === undefined ? differentPaths(pattern, transition) : operatedPaths(pattern, operations, transition)) {
    const old = getFrom(before, place.path);
    const present = getFrom(after, place.path);
    if (sameMatched(old, present)) continue;
    const written = old === undefined || place.replaced ? 'write' : 'subtree-modified';
    modifications.push(modification(place.path, present === undefined ? 'delete' : written, old, present, place));
  }
  return modifications;
}

/** A path that matches a pattern, and what may have changed there. */
interface ChangedPath {
  readonly path: Path;
  /** An operation at its path or above replaced it. */
  replaced: boolean;
  readonly operations: readonly Operation[] | undefined;
}

function differentPaths(pattern: Pattern, { before, after }: Transition): ChangedPath[] {
  const places: ChangedPath[] = [];
  forEachDifferentMatch(before, after, pattern, ROOT, path => places.push({ path, replaced: true, operations: undefined }));
  return places;
}

function operatedPaths(pattern: Pattern, operations: readonly Operation[], transition: Transition): Iterable<ChangedPath> {
  const places = new Map<string, OperatedPath>();
  const above = new Map<string, number[]>();
  const placeAt = (path: Path): OperatedPath => {
    const pointer = formatPath(path);
    let place = places.get(pointer);
    if (place === undefined) places.set(pointer, (place = new OperatedPath(path, operations, above)));
    return place;
  };
  for (const [index, { path }] of operations.entries()) {
    if (path.length >= pattern.length) {
      placeAt(path.slice(0, pattern.length)).reachedBy(index, path);
      continue;
    }
    const pointer = formatPath(path);
    const known = above.get(pointer);
    if (known === undefined) above.set(pointer, [index]);
    else known.push(index);
    // The same path a second time leads to the same places: what differs is told by the trees before and after all operations.
    if (known === undefined)
      forEachDifferentMatch(transition.before, transition.after, pattern, path, found => (placeAt(found).replaced = true));
  }
  return places.values();
}

class OperatedPath implements ChangedPath {
  readonly path: Path;
  replaced = false;
  readonly #all: readonly Operation[];
  /** Indices of the operations at or below the path. */
  readonly #own: number[] = [];
  /** Indices of the operations above places, by their pointers. */
  readonly #above: ReadonlyMap<string, readonly number[]>;

  constructor(path: Path, all: readonly Operation[], above: ReadonlyMap<string, readonly number[]>) {
    this.path = path;
    this.#all = all;
    this.#above = above;
  }

  reachedBy(index: number, path: Path): void {
    this.#own.push(index);
    if (path.length === this.path.length) this.replaced = true;
  }

  get operations(): readonly Operation[] {
    const indices = [...this.#own];
    for (let length = 0; length < this.path.length; length++) {
      indices.push(...(this.#above.get(formatPath(this.path.slice(0, length))) ?? []));
    }
    return indices.toSorted((a, b) => a - b).map(index => this.#all[index]!);
  }
}

function modification(
  segments: Path,
  type: ChangeType,
  before: MatchedValue,
  after: MatchedValue,
  place: Pick<ChangedPath, 'operations'>,
): Modification {
  let old: Value | undefined;
  let present: Value | undefined;
  let operations: readonly Operation[] | undefined;
  // Own properties, so that a modification can be spread, compared and made into JSON.
  return {
    path: formatPath(segments),
    segments,
    type,
    get before() {
      return (old ??= exportMatched(before));
    },
    get after() {
      return (present ??= exportMatched(after));
    },
    get operations() {
      return (operations ??= place.operations);
    },
  };
}
