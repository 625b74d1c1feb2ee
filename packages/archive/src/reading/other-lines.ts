import { type ErrorCode, EvertreeError, isEvertreeError } from '@evertree/core';
import type { LineHistory } from './line-history.ts';
import { nameOf } from './restore-plan.ts';

/** Errors of a line that lacks a state. */
const LACKING: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'COMPACTED', 'POSITION_MISMATCH', 'HISTORY_MISMATCH', 'DAMAGED']);
/** Lines in which a state is looked for: each may take reading an object. */
const LINES_ASKED = 16;

/**
 * Says of a state that one line lacks which others have it.
 * @param find throws where a line lacks it, too
 */
export async function namingOthers(
  error: unknown,
  others: readonly LineHistory[],
  find: (line: LineHistory) => Promise<unknown>,
): Promise<unknown> {
  if (!isEvertreeError(error) || !LACKING.has(error.code)) return error;
  const found: LineHistory[] = [];
  for (const line of others.slice(-LINES_ASKED)) {
    try {
      await find(line);
      found.push(line);
    } catch (lack) {
      if (!isEvertreeError(lack)) throw lack;
    }
  }
  if (found.length === 0) return error;
  const ways = found.map(line => `${nameOf(line)} (--line ${line.id})`).join(', ');
  return new EvertreeError(error.code, `${error.message}; it is in ${ways}`, error.details, error);
}
