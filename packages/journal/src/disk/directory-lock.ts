import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { EvertreeError } from '@evertree/core';
import { asError } from '../groups/failure.ts';
import { LOCK_FILE } from '../site/layout.ts';

const SQLITE_BUSY = 5;

/**
 * Takes a directory for this process: an exclusive lock on an empty database file, which the system frees when its holder dies, and
 * which no stall makes us lose.
 * @throws EvertreeError DIRECTORY_IN_USE, STORAGE_FAILED
 */
export function lockDirectory(directory: string): AsyncDisposable {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(directory, LOCK_FILE));
    // With a journal of its own SQLite would need room on the disk for a lock.
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
