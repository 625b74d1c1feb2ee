import {
  type CommitOptions,
  commonPath,
  type ExactPosition,
  formatExactPosition,
  NOTE_LIMIT,
  type Operation,
  type Path,
  PathSet,
  type PreparationHints,
  ROOT,
  type Snapshot,
  type Transaction,
  type Value,
} from '@evertree/core';
import { isSameInSteps } from '@evertree/history';

export const ALL_PATHS = new PathSet();
ALL_PATHS.add(ROOT);

/** Operations that are looked at between two pauses. */
export const STEP_OPERATIONS = 256;

/** A commit of more operations, and members of what they put, is made ahead, in steps. */
const LARGE_MEMBERS = 1_024;
/** So many characters of a text count as one more member. */
const MEMBER_CHARACTERS = 64;

/** A commit that is in no history that goes on. */
export interface DivergedCommit {
  readonly position: ExactPosition;
  readonly author?: string | undefined;
  readonly message?: string | undefined;
  readonly operations: readonly Operation[];
}

export function* make(transaction: Transaction, operations: readonly Operation[], hints: PreparationHints): Generator<void> {
  for (const [index, operation] of operations.entries()) {
    if (operation.type === 'put') yield* transaction.putSteps(operation.path, operation.value, hints);
    else if (transaction.has(operation.path)) transaction.delete(operation.path);
    if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
  }
}

export function* isEqualInSteps(present: Pick<Snapshot, 'at'>, operation: Operation): Generator<void, boolean> {
  const content = present.at(operation.path);
  if (operation.type === 'delete') return content === undefined;
  return content !== undefined && (yield* isSameInSteps(content, operation.value));
}

/** The longest path that leads to all that operations change. */
export function* pathToAll(operations: readonly Operation[]): Generator<void, Path> {
  let common = operations[0]?.path ?? ROOT;
  for (const [index, { path }] of operations.entries()) {
    common = commonPath(common, path);
    if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
  }
  return common;
}

/** Whether a commit takes more than a step of some milliseconds: by its operations and by what they put. */
export function isLarge({ operations }: DivergedCommit, hints: PreparationHints | undefined): boolean {
  let left = LARGE_MEMBERS - operations.length;
  for (const operation of operations) {
    if (left < 0) return true;
    if (operation.type === 'put') left -= membersOf(operation.value, left, hints);
  }
  return left < 0;
}

/** Counts a value's members, at all levels, and each so many characters of its texts; until there are too many. */
function membersOf(value: Value, most: number, hints: PreparationHints | undefined): number {
  if (typeof value === 'string') return Math.floor(value.length / MEMBER_CHARACTERS);
  if (typeof value !== 'object' || value === null) return 0;
  const keys = Array.isArray(value) ? undefined : (hints?.keysOf?.(value) ?? Object.keys(value));
  const size = keys?.length ?? (value as readonly Value[]).length;
  let members = size;
  for (let index = 0; index < size && members <= most; index++) {
    const member = (value as { readonly [key: string]: Value })[keys?.[index] ?? index]!;
    members += membersOf(member, most - members, hints);
  }
  return members;
}

export function optionsOf({ position, author, message }: DivergedCommit): CommitOptions {
  return { ...(author === undefined ? {} : { author }), message: noteOf(position, message) };
}

/** A replayed commit's message begins with this, so that whoever reads the history finds out what was replayed. */
const ORIGINAL = /^replay of (\d{1,10})-(\d{1,16}) \(epoch id ([0-9a-f]{16})\)/;

/** Between that and the message of the commit that was replayed. */
const SEPARATOR = ': ';

function noteOf(position: ExactPosition, message: string | undefined): string {
  const whence = `replay of ${formatExactPosition(position)}`;
  return message === undefined ? whence : `${whence}${SEPARATOR}${message}`.slice(0, NOTE_LIMIT).toWellFormed();
}

/**
 * The positions of the commits that a commit of this message replays: more than one if what it replays was a replay itself,
 * which another promotion left behind.
 */
export function originalsOf(message: string | undefined): readonly ExactPosition[] {
  const originals: ExactPosition[] = [];
  let rest = message;
  while (rest !== undefined) {
    const match = ORIGINAL.exec(rest);
    if (match === null) break;
    originals.push({ epoch: Number(match[1]), revision: Number(match[2]), epochId: match[3]! });
    rest = rest.slice(match[0].length + SEPARATOR.length);
  }
  return originals;
}
