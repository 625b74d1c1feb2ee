import { type ErrorCode, isEvertreeError } from '@evertree/core';

export const DONE = 0;
export const FAILED = 1;
export const WRONG_USAGE = 2;
export const REFUSED_BY_STATE = 3;

export type ExitStatus = typeof DONE | typeof FAILED | typeof WRONG_USAGE | typeof REFUSED_BY_STATE;

/** Errors that the site's state causes: another command line would not help. */
const STATE: ReadonlySet<ErrorCode> = new Set([
  'NOT_PRIMARY',
  'WRONG_ROLE',
  'FENCED',
  'STREAM_MISMATCH',
  'HISTORY_MISMATCH',
  'UNFINISHED',
] satisfies ErrorCode[]);

export class UsageError extends Error {}

export function exitStatusOf(error: unknown): ExitStatus {
  if (error instanceof UsageError || isEvertreeError(error, 'CONFIGURATION_INVALID')) return WRONG_USAGE;
  return isEvertreeError(error) && STATE.has(error.code) ? REFUSED_BY_STATE : FAILED;
}
