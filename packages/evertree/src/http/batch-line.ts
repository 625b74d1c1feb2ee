import { EvertreeError, type Commit, type CommitOptions, type PathLike, type Store, type Transaction } from '@evertree/core';
import { parseExactJson } from '../json/exact.ts';

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

function apply(transaction: Transaction, [name, path, value]: readonly unknown[]): void {
  if (name === 'put') transaction.put(path as PathLike, value);
  else if (name === 'merge') transaction.merge(path as PathLike, value);
  else transaction.delete(path as PathLike);
}

/** The path is the store's to check. */
function checkOperation(operation: readonly unknown[]): void {
  const [name] = operation;
  const length = name === 'put' || name === 'merge' ? 3 : name === 'delete' ? 2 : 0;
  if (operation.length !== length) throw notAnOperation(operation);
}

function notAnOperation(found: unknown): EvertreeError {
  const text = JSON.stringify(found) ?? String(found);
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return new EvertreeError(
    'VALUE_INVALID',
    `${shown} is no operation; write ["put", "/a/b", value], ["merge", "/a/b", value], ["delete", "/a/b"], or an array of such`,
  );
}
