import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { EvertreeError } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import { LOCK_FILE } from '../site/layout.ts';

const SQLITE_BUSY = 5;

/**
 * Locks a directory for this process.
 * @throws EvertreeError DIRECTORY_IN_USE, STORAGE_FAILED
 */
export function lockDirectory(directory: string): AsyncDisposable {
  let held: Disposable | undefined;
  try {
    held = tryLock(join(directory, LOCK_FILE));
  } catch (error) {
    const problem = `the directory ${directory} can't be locked (${asError(error).message}): its file ${LOCK_FILE} has to be empty and writable`;
    throw new EvertreeError('STORAGE_FAILED', problem, { directory }, error);
  }
  if (held === undefined) {
    const remedy = 'stop the other process, or choose another directory';
    throw new EvertreeError('DIRECTORY_IN_USE', `the directory ${directory} is in use by another process; ${remedy}`, { directory });
  }
  const lock = held;
  return { [Symbol.asyncDispose]: async () => lock[Symbol.dispose]() };
}

/**
 * Locks by an exclusive SQLite lock on an empty database file, which is made if it is missing. The system frees the
 * lock when the process dies. A stalled process keeps it.
 * @returns undefined if somebody else has it
 * @throws the error of SQLite
 */
export function tryLock(file: string): Disposable | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    // By default SQLite writes a rollback journal file when it locks, which fails on a full disk.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
  const held = database;
  return {
    [Symbol.dispose]: () => {
      if (held.isOpen) held.close();
    },
  };
}
