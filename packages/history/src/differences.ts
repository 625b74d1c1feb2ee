import { type Path, PathSet, readChangeSets, sameValue, SnapshotNode, Turn, type Value } from '@evertree/core';
import type { PathDifference } from './answers.ts';
import { IndexOutdated } from './change-index.ts';
import { makeChange } from './before-values.ts';
import { framesForward } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { readPart } from './past-part.ts';
import { type Content, isObject, lowerOf, type ObjectContent, setOf } from './paths.ts';
import { STEP_ITEMS } from './step.ts';

/** With more changed paths than this the whole subtree is compared. */
const MOST_PATHS = 200_000;

/** Two states that are further apart than this, in revisions, are looked up each for itself where there is an index. */
const LEAST_SEPARATE = 512;

/** Keys that are compared between two pauses. */
const KEYS_A_STEP = 256;

/** Objects with more keys than this are not read in the order of their keys. */
const MOST_SORTED = 20_000;

/** What turns the state at one position into that at another, at a path. */
export async function* differencesBetween(
  view: HistoryView,
  from: number,
  to: number,
  path: Path,
): AsyncGenerator<PathDifference, void, undefined> {
  if (from === to) return;
  const [earlier, later] = from < to ? [from, to] : [to, from];
  const set = await changedPaths(view, earlier, later, path);
  if (set === undefined) return;
  const { before, after } = await readBoth(view, earlier, later, path, set);
  yield* inSlices(view, from < to ? compareContents(before, after, path) : compareContents(after, before, path));
}

/** Gives others a turn where a generator pauses with undefined. */
async function* inSlices<T>(view: HistoryView, steps: Generator<T | undefined>): AsyncGenerator<T, void, undefined> {
  const turn = new Turn(view.clock);
  for (const step of steps) {
    if (step !== undefined) yield step;
    else if (turn.over) await turn.rest();
  }
}

/** Touched paths at or below a path; once they are too many, the path itself. */
class TouchedPaths {
  readonly #asked: Path;
  readonly #set = new PathSet();
  #count = 0;

  constructor(asked: Path) {
    this.#asked = asked;
  }

  /** Undefined if nothing was touched. */
  get set(): PathSet | undefined {
    if (this.#count === 0) return undefined;
    return this.areMany ? setOf(this.#asked) : this.#set;
  }

  get areMany(): boolean {
    return this.#count > MOST_PATHS;
  }

  add(path: Path): void {
    this.#set.add(lowerOf(path, this.#asked));
    this.#count++;
  }
}

/** The paths at or below a path that were changed in a stretch of the history; undefined if there are none. */
async function changedPaths(view: HistoryView, after: number, upTo: number, path: Path): Promise<PathSet | undefined> {
  const touched = new TouchedPaths(path);
  const covered = path.length === 0 ? undefined : view.covered();
  // Where the index begins and ends within the stretch.
  const [begin, end] = covered === undefined ? [upTo, upTo] : [clamp(covered.after, after, upTo), clamp(covered.upTo, after, upTo)];
  if (!(await addFromIndex(view, begin, end, path, touched))) return changedPathsInFrames(view, [[after, upTo]], path);
  return changedPathsInFrames(
    view,
    [
      [after, begin],
      [end, upTo],
    ],
    path,
    touched,
  );
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** @returns whether the index still had all of it */
async function addFromIndex(view: HistoryView, after: number, upTo: number, path: Path, touched: TouchedPaths): Promise<boolean> {
  if (view.index === undefined || after >= upTo) return true;
  const turn = new Turn(view.clock);
  try {
    for await (const touches of view.index.touches(path, { after, upTo })) {
      for (const touch of touches) touched.add(touch.path);
      if (touched.areMany) break;
      await turn.breathe();
    }
  } catch (error) {
    if (error instanceof IndexOutdated) return false;
    throw error;
  }
  view.assertStands();
  return true;
}

async function changedPathsInFrames(
  view: HistoryView,
  stretches: readonly (readonly [number, number])[],
  path: Path,
  touched = new TouchedPaths(path),
): Promise<PathSet | undefined> {
  const asked = setOf(path);
  const turn = new Turn(view.clock);
  for (const [after, upTo] of stretches) {
    for await (const frame of framesForward(view, after, upTo)) {
      for (const changeSet of readChangeSets(frame, asked, { values: false })) {
        await turn.breathe();
        if (changeSet === undefined || changeSet.revision <= after || changeSet.revision > upTo) continue;
        for (const [index, operation] of changeSet.operations.entries()) {
          touched.add(operation.path);
          if (touched.areMany) return touched.set;
          if (index % STEP_ITEMS === 0) await turn.breathe();
        }
      }
    }
  }
  return touched.set;
}

/** What of a set stood at a path at two positions. */
async function readBoth(
  view: HistoryView,
  earlier: number,
  later: number,
  path: Path,
  set: PathSet,
): Promise<{ readonly before: Content; readonly after: Content }> {
  const tree = await readPart(view, view.exact(earlier), set);
  const before = tree.pinned(path);
  const covered = view.covered();
  if (covered !== undefined && later - earlier > LEAST_SEPARATE && later > covered.after) {
    return { before, after: (await readPart(view, view.exact(later), set)).pinned(path) };
  }
  const turn = new Turn(view.clock);
  for await (const frame of framesForward(view, earlier, later)) {
    for (const changeSet of readChangeSets(frame, set)) {
      await turn.breathe();
      if (changeSet === undefined || changeSet.revision <= earlier || changeSet.revision > later) continue;
      await makeChange(tree, changeSet, turn);
    }
  }
  return { before, after: tree.pinned(path) };
}

/**
 * The operations that turn one content into another, each on the highest path where that says all, in the order of the
 * keys. The generator pauses, with undefined, after some 256 keys, and while it builds the value of an object.
 */
export function* compareContents(before: Content, after: Content, path: Path): Generator<PathDifference | undefined> {
  if (!isObject(before) || !isObject(after)) {
    if (isSame(before, after)) return;
    const kind = after === undefined ? 'delete' : 'put';
    yield { path, kind, before: yield* valueInSteps(before), after: yield* valueInSteps(after) };
    return;
  }
  if (before instanceof SnapshotNode && after instanceof SnapshotNode && hasSameDigest(before, after)) return;
  let left = KEYS_A_STEP;
  for (const key of keysOfBoth(before, after)) {
    if (--left === 0) {
      left = KEYS_A_STEP;
      yield undefined;
    }
    yield* compareContents(childOf(before, key), childOf(after, key), [...path, key]);
  }
}

/** The keys of an object; in their order unless there are very many, which would hold the event loop. */
export function keysInOrder(content: ObjectContent): Iterable<string> {
  return sizeOf(content) > MOST_SORTED ? keysOf(content) : [...keysOf(content)].toSorted();
}

/** The keys of two objects, each once; in their order as above. */
function keysOfBoth(before: ObjectContent, after: ObjectContent): Iterable<string> {
  if (sizeOf(before) + sizeOf(after) > MOST_SORTED) return unsortedKeys(before, after);
  return [...new Set([...keysOf(before), ...keysOf(after)])].toSorted();
}

function* unsortedKeys(before: ObjectContent, after: ObjectContent): Generator<string> {
  yield* keysOf(before);
  for (const key of keysOf(after)) if (childOf(before, key) === undefined) yield key;
}

/** Whether two contents, of which one is no object, are the same JSON value. */
function isSame(a: Content, b: Content): boolean {
  return a instanceof SnapshotNode || b instanceof SnapshotNode ? false : sameValue(a, b);
}

function hasSameDigest(a: SnapshotNode, b: SnapshotNode): boolean {
  return a.digest === b.digest && a.size === b.size;
}

/** Whether two contents are the same JSON value. The generator pauses after some 256 keys. */
export function* isSameInSteps(a: Content, b: Content): Generator<undefined, boolean> {
  if (!isObject(a) || !isObject(b)) return isSame(a, b);
  if (a instanceof SnapshotNode && b instanceof SnapshotNode) return hasSameDigest(a, b);
  if (sizeOf(a) !== sizeOf(b)) return false;
  let left = KEYS_A_STEP;
  for (const key of keysOf(a)) {
    if (--left === 0) {
      left = KEYS_A_STEP;
      yield;
    }
    if (!(yield* isSameInSteps(childOf(a, key), childOf(b, key)))) return false;
  }
  return true;
}

/** The plain value of a content. */
export function valueOf(content: Content): Value | undefined {
  return content instanceof SnapshotNode ? content.value() : content;
}

/** As valueOf, in steps of a few dozen members. */
export function* valueInSteps(content: Content): Generator<undefined, Value | undefined> {
  return content instanceof SnapshotNode ? yield* content.valueInSteps() : content;
}

export function sizeOf(content: ObjectContent): number {
  return content instanceof SnapshotNode ? content.size : Object.keys(content).length;
}

export function keysOf(content: ObjectContent): Iterable<string> {
  return content instanceof SnapshotNode ? content.keys() : Object.keys(content);
}

export function childOf(content: ObjectContent, key: string): Content {
  if (content instanceof SnapshotNode) return content.child(key);
  return Object.hasOwn(content, key) ? content[key] : undefined;
}
