import { type ChangeSet, type Path, type PastTree, PathSet, Turn, type Value } from '@evertree/core';
import type { Before } from './changes.ts';
import type { PathChange } from './path-change.ts';
import type { HistoryView } from './history-view.ts';
import { readPart } from './past-part.ts';
import { lowerOf } from './paths.ts';
import { STEP_ITEMS } from './step.ts';

/** Changes whose values are looked for at once: by number, by operations, and by the bytes of what they put. */
const CHANGES_AT_ONCE = 1_000;
const OPERATIONS_AT_ONCE = 10_000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** A change that puts more bytes is looked at alone, as is one of OPERATIONS_AT_ONCE: its values are not made again then. */
const LARGE_BYTES = 1024 * 1024;

/** Of a change with more operations the whole subtree is read: to pick so many paths of one huge value takes too long. */
const MOST_PATHS = 20_000;

/** Gathers changes until there are enough of them to look for what was there before. */
export class ChangeBatch {
  changes: PathChange[] = [];
  #operations = 0;
  #bytes = 0;

  get isFull(): boolean {
    return this.changes.length >= CHANGES_AT_ONCE || this.#operations >= OPERATIONS_AT_ONCE || this.#bytes >= BYTES_AT_ONCE;
  }

  /**
   * Adds a change if it fits to those that are here.
   * @param bytes what `sizeOf` says of it
   * @returns whether it does
   */
  add(change: PathChange, bytes: number): boolean {
    const isLarge = bytes > LARGE_BYTES || change.changeSet.operations.length >= OPERATIONS_AT_ONCE;
    if (isLarge && this.changes.length > 0) return false;
    this.changes.push(change);
    this.#operations += change.changeSet.operations.length;
    this.#bytes += isLarge ? BYTES_AT_ONCE : bytes;
    return true;
  }

  take(): PathChange[] {
    const { changes } = this;
    this.changes = [];
    this.#operations = 0;
    this.#bytes = 0;
    return changes;
  }
}

/**
 * What was there before the operations of some changes, by revision: the state before the oldest of them is read, and
 * then they are made one after the other.
 * @param changes all that concern the path from the oldest of them to the newest, newest first
 * @throws EvertreeError COMPACTED if the state before the oldest is not here
 */
export async function readBefore(view: HistoryView, changes: readonly PathChange[], asked: Path): Promise<ReadonlyMap<number, Before>> {
  const found = new Map<number, Before>();
  const inOrder = changes.filter(({ changeSet }) => changeSet.operations.length > 0).toReversed();
  const [oldest] = inOrder;
  if (oldest === undefined) return found;
  const turn = new Turn(view.clock);
  const set = new PathSet();
  const isWhole = inOrder.some(({ changeSet }) => changeSet.operations.length > MOST_PATHS);
  if (isWhole) set.add(asked);
  for (const { changeSet } of isWhole ? [] : inOrder) {
    for (const [index, { path }] of changeSet.operations.entries()) {
      set.add(lowerOf(path, asked));
      if (index % STEP_ITEMS === 0) await turn.breathe();
    }
  }
  const tree = await readPart(view, view.exact(oldest.position.revision - 1), set);
  turn.restart();
  for (const change of inOrder) {
    found.set(change.position.revision, await valuesAt(tree, change, asked, turn));
    // Nobody asks what stood there after the newest.
    if (change === inOrder.at(-1)) break;
    await makeChange(tree, change.changeSet, turn);
  }
  return found;
}

/** What stands in a tree where a change has its operations. */
export async function valuesAt(tree: PastTree, { changeSet }: PathChange, asked: Path, turn: Turn): Promise<Before> {
  const values: (Value | undefined)[] = [];
  for (const { path } of changeSet.operations) {
    const steps = tree.getInSteps(lowerOf(path, asked));
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) if (turn.over) await turn.rest();
    values.push(step.value);
    if (turn.over) await turn.rest();
  }
  return values;
}

/** Makes in a tree what a change set does. */
export async function makeChange(tree: PastTree, { operations }: ChangeSet, turn: Turn): Promise<void> {
  for (const operation of operations) {
    for (const _ of tree.applyInSteps(operation)) if (turn.over) await turn.rest();
    if (turn.over) await turn.rest();
  }
}

/**
 * The bytes of what a change puts, as `measure` counts them, or as soon as that is large a number above LARGE_BYTES; in
 * steps.
 */
export function* sizeOf({ changeSet: { operations } }: PathChange): Generator<void, number> {
  if (operations.length >= OPERATIONS_AT_ONCE) return 0;
  let bytes = 0;
  for (const operation of operations) {
    if (operation.type === 'put') bytes += yield* sizeUpTo(operation.value, LARGE_BYTES - bytes);
    if (bytes > LARGE_BYTES) break;
  }
  return bytes;
}

/** Pauses after some 64 members. */
function* sizeUpTo(value: Value, most: number): Generator<void, number> {
  if (typeof value !== 'object' || value === null) return sizeOfLeaf(value);
  let bytes = 8;
  let left = STEP_ITEMS;
  const object = value as { readonly [key: string]: Value };
  for (const key in object) {
    if (bytes > most) break;
    const member = object[key]!;
    bytes += key.length + (typeof member === 'object' ? yield* sizeUpTo(member, most - bytes) : sizeOfLeaf(member));
    if (--left > 0) continue;
    left = STEP_ITEMS;
    yield;
  }
  yield;
  return bytes;
}

function sizeOfLeaf(leaf: Value): number {
  return typeof leaf === 'string' ? 8 + leaf.length : 8;
}
