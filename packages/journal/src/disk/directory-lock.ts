import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { EvertreeError } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import { LOCK_FILE } from '../site/layout.ts';

const SQLITE_BUSY = 5;

/**
 * Locks a directory for this process, by an exclusive SQLite lock on an empty database file. The system frees the lock
 * when the process dies. A stalled process keeps it.
 * @throws EvertreeError DIRECTORY_IN_USE, STORAGE_FAILED
 */
export function lockDirectory(directory: string): AsyncDisposable {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(directory, LOCK_FILE));
    // By default SQLite writes a rollback journal file when it locks, which fails on a full disk.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    throw lockError(directory, error);
  }
  const held = database;
  return {
    [Symbol.asyncDispose]: async () => {
      if (held.isOpen) held.close();
    },
  };
}

function lockError(directory: string, error: unknown): EvertreeError {
  if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) {
    const remedy = 'stop the other process, or choose another directory';
    return new EvertreeError(
      'DIRECTORY_IN_USE',
      `the directory ${directory} is in use by another process; ${remedy}`,
      { directory },
      error,
    );
  }
  const problem = `the directory ${directory} can't be locked (${asError(error).message}): its file ${LOCK_FILE} has to be empty and writable`;
  return new EvertreeError('STORAGE_FAILED', problem, { directory }, error);
}
