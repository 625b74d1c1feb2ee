import { SnapshotNode, type Path, type Snapshot, type Value } from '@evertree/core';

/** A slice is handed out once it has so many characters. A longer text is written in parts of so many, each 2 ms at most. */
const SLICE_CHARACTERS = 32 * 1024;
/** Children that are written between two slices at most: texts are not the only work, and what is made for each is garbage. */
const CHILDREN_A_STEP = 256;
/** Keys are sorted, and merged, in runs of so many: some 2 ms each. */
const RUN_KEYS = 4_096;

/**
 * The JSON text of what stands at a path, keys sorted by UTF-16 units at every level, so that equal values have equal
 * bytes. Each slice takes a millisecond or two to make; empty ones are pauses. Nothing, when nothing stands there.
 */
export function jsonSlices(snapshot: Snapshot, path: Path): Generator<string> {
  return contentSlices(snapshot.at(path));
}

/** The same of what was found in a snapshot. */
export function* contentSlices(content: SnapshotNode | Value | undefined): Generator<string> {
  if (content === undefined) return;
  yield* content instanceof SnapshotNode ? levelSlices(yield* objectLevel(content)) : valueSlices(content);
}

/** The same of a plain value. */
export function* valueSlices(value: Value): Generator<string> {
  if (Array.isArray(value)) yield* levelSlices(arrayLevel(value));
  else if (isObjectValue(value)) yield* levelSlices(yield* objectLevel(new PlainMembers(value)));
  else if (isLongText(value)) yield* textSlices(value);
  else yield JSON.stringify(value);
}

/** Whether the text of a value is made in one slice. */
export function isOneSlice(value: SnapshotNode | Value | undefined): boolean {
  return (typeof value !== 'object' || value === null) && !isLongText(value);
}

function isLongText(value: unknown): value is string {
  return typeof value === 'string' && value.length > SLICE_CHARACTERS;
}

function* textSlices(text: string): Generator<string> {
  let opening = '"';
  for (let from = 0; from < text.length;) {
    const to = endOfPart(text, from + SLICE_CHARACTERS);
    yield opening + JSON.stringify(text.slice(from, to)).slice(1, -1);
    opening = '';
    from = to;
  }
  yield '"';
}

/** Half of a surrogate pair would be escaped. */
function endOfPart(text: string, to: number): number {
  const last = text.charCodeAt(to - 1);
  return last >= 0xd800 && last <= 0xdbff ? to - 1 : to;
}

/** An object, read piece by piece: one of a snapshot, or a plain one. */
export interface ReadableMembers {
  keys(): Iterable<string>;
  child(key: string): SnapshotNode | Value | undefined;
}

type ObjectValue = Readonly<Record<string, Value>>;

class PlainMembers implements ReadableMembers {
  readonly #object: ObjectValue;

  constructor(object: ObjectValue) {
    this.#object = object;
  }

  keys(): Iterable<string> {
    return Object.keys(this.#object);
  }

  child(key: string): Value | undefined {
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }
}

/** The members of an object; undefined for anything else. */
export function membersOf(content: SnapshotNode | Value | undefined): ReadableMembers | undefined {
  if (content instanceof SnapshotNode) return content;
  return isObjectValue(content) ? new PlainMembers(content) : undefined;
}

function isObjectValue(value: Value | undefined): value is ObjectValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object or an array that is being written. */
interface WrittenLevel {
  readonly closing: string;
  readonly count: number;
  /** What stands before a child: the key of a member. */
  label(index: number): string;
  child(index: number): SnapshotNode | Value | undefined;
  next: number;
}

function* objectLevel(node: ReadableMembers): Generator<string, WrittenLevel> {
  const keys = yield* sortedKeys(node);
  return {
    closing: '}',
    count: keys.length,
    label: index => `${JSON.stringify(keys[index]!)}:`,
    child: index => node.child(keys[index]!),
    next: 0,
  };
}

function arrayLevel(items: readonly Value[]): WrittenLevel {
  return { closing: ']', count: items.length, label: () => '', child: index => items[index], next: 0 };
}

function* levelSlices(top: WrittenLevel): Generator<string> {
  const levels = [top];
  let text = top.closing === ']' ? '[' : '{';
  let children = 0;
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    if (level.next === level.count) {
      levels.pop();
      text += level.closing;
      continue;
    }
    if (level.next > 0) text += ',';
    text += level.label(level.next);
    const child = level.child(level.next++);
    const members = membersOf(child);
    if (members !== undefined) {
      text += '{';
      levels.push(yield* objectLevel(members));
    } else if (Array.isArray(child)) {
      text += '[';
      levels.push(arrayLevel(child));
    } else if (isLongText(child)) {
      yield text;
      text = '';
      yield* textSlices(child);
    } else {
      text += JSON.stringify(child);
    }
    if (text.length >= SLICE_CHARACTERS) {
      yield text;
      text = '';
    } else if (++children % CHILDREN_A_STEP === 0) {
      yield '';
    }
  }
  yield text;
}

/** Sorts in runs with pauses between them: a million keys at once would stop the event loop for a second. */
function* sortedKeys(node: ReadableMembers): Generator<string, readonly string[]> {
  let runs: string[][] = [];
  let run: string[] = [];
  for (const key of node.keys()) {
    if (run.push(key) < RUN_KEYS) continue;
    runs.push(run.toSorted());
    run = [];
    yield '';
  }
  runs.push(run.toSorted());
  while (runs.length > 1) {
    const merged: string[][] = [];
    for (let index = 0; index < runs.length; index += 2) {
      const right = runs[index + 1];
      merged.push(right === undefined ? runs[index]! : yield* mergeRuns(runs[index]!, right));
    }
    runs = merged;
  }
  return runs[0]!;
}

function* mergeRuns(left: readonly string[], right: readonly string[]): Generator<string, string[]> {
  const merged: string[] = [];
  let fromLeft = 0;
  let fromRight = 0;
  while (fromLeft < left.length && fromRight < right.length) {
    merged.push(left[fromLeft]! <= right[fromRight]! ? left[fromLeft++]! : right[fromRight++]!);
    if (merged.length % RUN_KEYS === 0) yield '';
  }
  for (; fromLeft < left.length; fromLeft++) merged.push(left[fromLeft]!);
  for (; fromRight < right.length; fromRight++) merged.push(right[fromRight]!);
  return merged;
}
