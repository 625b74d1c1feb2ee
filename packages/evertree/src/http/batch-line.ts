import {
  type Commit,
  type CommitOptions,
  commonPath,
  EvertreeError,
  parsePath,
  type Path,
  type PathLike,
  PointerReader,
  type PreparationHints,
  type Store,
  type Transaction,
  type TransactionSteps,
} from '@evertree/core';
import { parseExactJson } from '../json/exact.ts';

/** Operations that are looked at between two pauses. */
const STEP_OPERATIONS = 512;

/**
 * Commits one line of a batch: an operation, or an array of operations as one transaction.
 * @throws EvertreeError whatever the store throws; VALUE_INVALID for what is no operation
 */
export function commitLine(store: Store, line: string, options: CommitOptions): Commit {
  const parsed = parseExactJson(line);
  if (!Array.isArray(parsed)) throw notAnOperation(parsed);
  return typeof parsed[0] === 'string' ? commitOperation(store, parsed, options) : commitAll(store, parsed, options);
}

/** The most common line by far: no transaction to set up. */
function commitOperation(store: Store, operation: readonly unknown[], options: CommitOptions): Commit {
  const [name, path, value] = operation;
  checkOperation(operation);
  if (name === 'put') return store.put(path as PathLike, value, options);
  if (name === 'merge') return store.merge(path as PathLike, value, options);
  return store.delete(path as PathLike, options);
}

function commitAll(store: Store, operations: readonly unknown[], options: CommitOptions): Commit {
  for (const operation of operations) {
    if (!Array.isArray(operation)) throw notAnOperation(operation);
    checkOperation(operation);
  }
  return store.transact(transaction => {
    for (const operation of operations as readonly (readonly unknown[])[]) apply(transaction, operation);
  }, options);
}

/** What a long line does, and at or below which path. */
export interface LongLine {
  readonly path: Path;
  readonly steps: TransactionSteps;
}

/**
 * Reads what the value of a long line says, in steps.
 * @throws EvertreeError VALUE_INVALID for what is no operation
 */
export function* readLongLine(parsed: unknown, hints: PreparationHints): Generator<void, LongLine> {
  if (!Array.isArray(parsed)) throw notAnOperation(parsed, hints);
  const operations = (typeof parsed[0] === 'string' ? [parsed] : parsed) as readonly unknown[];
  for (const [index, operation] of operations.entries()) {
    if (!Array.isArray(operation)) throw notAnOperation(operation, hints);
    checkOperation(operation, hints);
    if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
  }
  const checked = operations as readonly (readonly unknown[])[];
  return { path: yield* pathToAll(checked), steps: transaction => applySteps(transaction, checked, hints) };
}

/** The longest path that leads to all that operations change; that of the root if one of them has no right path. */
function* pathToAll(operations: readonly (readonly unknown[])[]): Generator<void, Path> {
  const reader = new PointerReader();
  let common: Path | undefined;
  for (const [index, [, path]] of operations.entries()) {
    let found: Path;
    try {
      found = typeof path === 'string' ? reader.read(path) : parsePath(path as PathLike);
    } catch (error) {
      if (!(error instanceof EvertreeError)) throw error;
      // The transaction will refuse it in its turn.
      return [];
    }
    common = commonPath(common ?? found, found);
    if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
  }
  return common ?? [];
}

function* applySteps(transaction: Transaction, operations: readonly (readonly unknown[])[], hints: PreparationHints): Generator<void> {
  for (const [index, [name, path, value]] of operations.entries()) {
    if (name === 'delete') transaction.delete(path as PathLike);
    else if (name === 'merge') yield* transaction.mergeSteps(path as PathLike, value, hints);
    else if (typeof value === 'object') yield* transaction.putSteps(path as PathLike, value, hints);
    else transaction.put(path as PathLike, value);
    if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
  }
}

function apply(transaction: Transaction, [name, path, value]: readonly unknown[]): void {
  if (name === 'put') transaction.put(path as PathLike, value);
  else if (name === 'merge') transaction.merge(path as PathLike, value);
  else transaction.delete(path as PathLike);
}

/** The path is the store's to check. */
function checkOperation(operation: readonly unknown[], hints?: PreparationHints): void {
  const [name] = operation;
  const length = name === 'put' || name === 'merge' ? 3 : name === 'delete' ? 2 : 0;
  if (operation.length !== length) throw notAnOperation(operation, hints);
}

function notAnOperation(found: unknown, hints?: PreparationHints): EvertreeError {
  const text = beginningOf(found, SHOWN_CHARACTERS, hints);
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return new EvertreeError(
    'VALUE_INVALID',
    `${shown} is no operation; write ["put", "/a/b", value], ["merge", "/a/b", value], ["delete", "/a/b"], or an array of such`,
  );
}

/** Characters of what is refused that an error shows. */
const SHOWN_CHARACTERS = 80;

/**
 * The JSON text of a value of JSON, if it has no more than so many characters; else a longer one that begins like it. Of
 * a large value only the beginning is read.
 */
function beginningOf(value: unknown, characters: number, hints: PreparationHints | undefined): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, characters + 1));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const keys = Array.isArray(value) ? undefined : (hints?.keysOf?.(value) ?? Object.keys(value));
  const size = keys?.length ?? (value as readonly unknown[]).length;
  let text = keys === undefined ? '[' : '{';
  for (let index = 0; index < size && text.length <= characters; index++) {
    const key = keys?.[index];
    if (index > 0) text += ',';
    if (key !== undefined) text += `${beginningOf(key, characters, hints)}:`;
    const member = (value as { readonly [key: string]: unknown })[key ?? index];
    text += beginningOf(member, Math.max(0, characters - text.length), hints);
  }
  return text + (keys === undefined ? ']' : '}');
}
