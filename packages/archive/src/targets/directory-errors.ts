import { EvertreeError } from '@evertree/core';
import { asError, errorCode, isNoSpace } from '@evertree/journal/files';

/** A call of the file system failed. @param key of the object, if it is about one */
export function directoryError(directory: string, action: string, key: string | undefined, cause: unknown): unknown {
  if (cause instanceof EvertreeError) return cause;
  const code = errorCode(cause);
  const what = `${action}${key === undefined ? '' : ` ${key}`} in the archive ${directory} failed (${systemMessage(code, cause)})`;
  const details = { target: directory, ...(key === undefined ? {} : { key }) };
  if (isNoSpace(cause)) {
    const remedy = 'the disk is full: make room there (`evertree prune` drops old states), or choose another target';
    return new EvertreeError('STORAGE_FULL', `${what}; ${remedy}`, details, cause);
  }
  if (['EACCES', 'EPERM', 'EROFS'].includes(code) || isRefusedLock(cause)) {
    const remedy = 'give the user that runs this program the right to read and write there, and see whether it is mounted read-only';
    return new EvertreeError('FORBIDDEN', `${what}; ${remedy}`, details, cause);
  }
  const remedy = 'see whether its disk is sound and mounted, then try again';
  return new EvertreeError('STORAGE_FAILED', `${what}; ${remedy}`, details, cause);
}

/** Node's messages begin with the code; those of SQLite and of streams do not. */
function systemMessage(code: string, cause: unknown): string {
  const { message } = asError(cause);
  return message.startsWith(`${code}:`) ? message : `${code}: ${message}`;
}

const SQLITE_READONLY = 8;
const SQLITE_CANTOPEN = 14;

/** The lock is a file of SQLite, which has codes of its own. */
function isRefusedLock(cause: unknown): boolean {
  return cause instanceof Error && 'errcode' in cause && [SQLITE_READONLY, SQLITE_CANTOPEN].includes(Number(cause.errcode));
}

export function directoryMissing(directory: string, problem: string, cause?: unknown): EvertreeError {
  const remedy = 'see whether its disk is mounted and the name is right; `evertree backup init` makes a new archive';
  return new EvertreeError('NOT_FOUND', `the archive's directory ${directory} ${problem}; ${remedy}`, { target: directory }, cause);
}
