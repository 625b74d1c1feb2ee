import type { Operation } from '../frames/change-set.ts';
import type { TreeNode } from '../tree/node.ts';
import { formatPath, ROOT, type Path } from '../tree/path.ts';
import { hasWildcard, type Pattern } from './pattern.ts';
import type { Position } from '../position.ts';
import { differentMatches, exportMatched, getMatched, matchesBelow, sameMatched, type MatchedValue } from './matched-value.ts';
import type { Value } from '../tree/value.ts';

/**
 * - `write`: the value is new, or an operation at or above its path replaced it whole. Leaves and arrays are only ever
 *   written.
 * - `subtree-modified`: operations below its path changed it.
 * - `delete`: it is gone; in an initial batch: there is none.
 */
export type ChangeType = 'write' | 'delete' | 'subtree-modified';

/** What happened to the value at one path that a listener watches. */
export interface Modification {
  /** The path, as a pointer. */
  readonly path: string;
  readonly segments: Path;
  readonly type: ChangeType;
  /**
   * The value before and after; undefined if there was none. Each is built from a pinned tree when it is first read, so
   * that one that nobody reads costs nothing. Keep values rather than modifications: a modification keeps two trees in
   * memory.
   */
  readonly before: Value | undefined;
  readonly after: Value | undefined;
  /**
   * The operations at, below or above the path that changed it. Empty in an initial batch; undefined if so many commits
   * were merged that theirs were not kept: then every change that is no `delete` is a `write`.
   */
  readonly operations: readonly Operation[] | undefined;
}

/**
 * The argument of a listener's call: first the state at its registration, then what each commit that concerns it
 * changed.
 */
export interface Batch {
  /** Whether it is the first batch, which tells the state at registration. */
  readonly initial: boolean;
  /** The position that `before` belongs to. */
  readonly from: Position;
  /** The position that `after` belongs to. */
  readonly position: Position;
  /** Commit time of `position`, in milliseconds since 1970. */
  readonly time: number;
  readonly changes: readonly Modification[];
  /** Number of commits in it: 1, or more if the listener fell behind; 0 for the initial batch. */
  readonly merged: number;
}

/** Two states of a tree, both pinned, and the operations between them. */
export interface Transition {
  readonly before: TreeNode;
  readonly after: TreeNode;
  /** Those that concern the listener's pattern, in order; undefined if they were not kept. */
  readonly operations: readonly Operation[] | undefined;
}

/** Work of one step, in operations or paths: half a millisecond or so. */
const STEP_PATHS = 256;

/**
 * The present state, made in steps: a `write` for each path that matches and has a value. If there is none, a pattern
 * without wildcards gets a `delete` for its path.
 */
export function* presentState(pattern: Pattern, root: TreeNode): Generator<void, Modification[], void> {
  const modifications: Modification[] = [];
  const add = (path: Path, type: ChangeType, value: MatchedValue): void => {
    modifications.push(modification(path, type, undefined, value, INITIAL));
  };
  for (const match of matchesBelow(root, pattern, ROOT)) {
    if (match !== undefined) add(match.path, 'write', match.value);
    if (match === undefined || modifications.length % STEP_PATHS === 0) yield;
  }
  if (modifications.length === 0 && !hasWildcard(pattern)) add(pattern as Path, 'delete', undefined);
  return modifications;
}

const INITIAL = { operations: Object.freeze<Operation[]>([]) };

/** A modification for each path that matches a pattern and whose value before and after differs, made in steps. */
export function* modificationsOf(pattern: Pattern, transition: Transition): Generator<void, Modification[], void> {
  const { before, after, operations } = transition;
  const places = yield* operations === undefined ? differentPaths(pattern, transition) : operatedPaths(pattern, operations, transition);
  const modifications: Modification[] = [];
  let left = STEP_PATHS;
  for (const place of places) {
    if (--left === 0) {
      left = STEP_PATHS;
      yield;
    }
    const old = getMatched(before, pattern, place.path);
    const present = getMatched(after, pattern, place.path);
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

function* differentPaths(pattern: Pattern, { before, after }: Transition): Generator<void, ChangedPath[], void> {
  const places: ChangedPath[] = [];
  for (const path of differentMatches(before, after, pattern, ROOT)) {
    if (path !== undefined) places.push({ path, replaced: true, operations: undefined });
    if (path === undefined || places.length % STEP_PATHS === 0) yield;
  }
  return places;
}

function* operatedPaths(
  pattern: Pattern,
  operations: readonly Operation[],
  transition: Transition,
): Generator<void, Iterable<ChangedPath>, void> {
  const places = new Map<string, OperatedPath>();
  const above = new Map<string, number[]>();
  const placeAt = (path: Path): OperatedPath => {
    const pointer = formatPath(path);
    let place = places.get(pointer);
    if (place === undefined) places.set(pointer, (place = new OperatedPath(path, operations, above)));
    return place;
  };
  for (const [index, { path }] of operations.entries()) {
    if (index % STEP_PATHS === STEP_PATHS - 1) yield;
    if (path.length >= pattern.length) {
      placeAt(path.slice(0, pattern.length)).reachedBy(index, path);
      continue;
    }
    const pointer = formatPath(path);
    const known = above.get(pointer);
    if (known !== undefined) {
      // It finds the same differences as the first operation at this path: they are those of the trees before and after
      // all operations.
      known.push(index);
      continue;
    }
    above.set(pointer, [index]);
    let found = 0;
    for (const different of differentMatches(transition.before, transition.after, pattern, path)) {
      if (different !== undefined) placeAt(different).replaced = true;
      if (different === undefined || ++found % STEP_PATHS === 0) yield;
    }
  }
  return places.values();
}

class OperatedPath implements ChangedPath {
  readonly path: Path;
  replaced = false;
  readonly #all: readonly Operation[];
  /** Indices of the operations at or below the path. */
  readonly #own: number[] = [];
  /** Indices of the operations whose paths are shorter than the pattern, by their pointers. */
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
