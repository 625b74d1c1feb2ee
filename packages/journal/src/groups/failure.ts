import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { ExactPosition } from '@evertree/core';

/** The system's code of an error (ENOSPC, EIO …), or `unknown`. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

/** Whether the disk, or the user's quota on it, is full. */
export function isNoSpace(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** What helps after an error of the system in a file that is written anew each time; for no other error is it known. */
const REMEDIES: ReadonlyMap<string, string> = new Map([
  ['EIO', "the disk reports a fault: see the system's log, and replace the disk if it goes on"],
  [
    'EROFS',
    "the file system is mounted read-only, as systems do after a fault of the disk: see the system's log, and mount it for writing",
  ],
  ['EACCES', 'the user of this process lacks the right: give it all rights on the directory'],
  ['EPERM', 'the user of this process lacks the right: give it all rights on the directory'],
  ['EMFILE', 'this process has too many files open: raise its limit (ulimit -n)'],
  ['ENFILE', 'too many files are open on this machine: raise its limit'],
  ['ENXIO', 'the device is gone: bring it back, and start the site again'],
  ['ENODEV', 'the device is gone: bring it back, and start the site again'],
  ['ESTALE', 'the mount over the network is gone: bring it back, and start the site again'],
]);
const STILL = 'Reads go on, and writes as long as the status of this site says open';

/**
 * Of an error of the system in a snapshot, a lease or another small file beside the log: the file, what still works, and
 * what helps. Undefined for any other error. The log tells of its own.
 */
export function fileFailed(error: unknown): EvertreeError | undefined {
  if (isEvertreeError(error) || !(error instanceof Error) || !('path' in error)) return undefined;
  const { message } = error;
  const file = String(error.path);
  if (isNoSpace(error)) {
    return new EvertreeError(
      'STORAGE_FULL',
      `there is no room on the disk for ${file} (${message}); make room, then try again. ${STILL}`,
      { file },
      error,
    );
  }
  const remedy = REMEDIES.get(errorCode(error));
  if (remedy === undefined) return undefined;
  return new EvertreeError('STORAGE_FAILED', `${file} can't be used (${message}): ${remedy}, then try again. ${STILL}`, { file }, error);
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** @param remedy a further way out, appended to the usual two */
export function damaged(file: string, offset: number, problem: string, remedy = ''): EvertreeError {
  return new EvertreeError(
    'DAMAGED',
    `${file} is damaged at offset ${offset}: ${problem}; restore this directory from a backup, or start it empty as a secondary${remedy}`,
    { file, offset },
  );
}

export function unsupported(file: string, version: unknown, known: number): EvertreeError {
  return new EvertreeError(
    'FORMAT_UNSUPPORTED',
    `${file} has format version ${String(version)}; this program reads version ${known}: open it with the program that wrote it`,
    { file, version },
  );
}

export function storageFailed(cause: Error): EvertreeError {
  return new EvertreeError(
    'STORAGE_FAILED',
    `writing the journal failed (${errorCode(cause)}: ${cause.message}); nobody knows which bytes the disk took: restart this site, so that it recovers from what the disk holds`,
    {},
    cause,
  );
}

/** The error for a caller who reads. What is no error of the system stays as it is. */
export function readFailed(cause: unknown): unknown {
  const code = errorCode(cause);
  if (isEvertreeError(cause) || code === 'unknown') return cause;
  const problem = `reading the journal failed (${code}: ${asError(cause).message})`;
  const remedy = 'if it fails again at the next start, restore this directory from a backup, or start it empty as a secondary';
  return new EvertreeError('STORAGE_FAILED', `${problem}; ${remedy}`, {}, cause);
}

export function journalClosed(): EvertreeError {
  return new EvertreeError('CLOSED', 'the journal is closed');
}

/** The error for a caller of `append` while the history is replaced or cut back. */
export function suspended(reason: string, last: ExactPosition): EvertreeError {
  return new EvertreeError('HISTORY_MISMATCH', `${reason}; go on behind what it then is`, { last });
}
