import { type ErrorCode, EvertreeError, isEvertreeError } from '@evertree/core';
import type { ArchiveProblem, LineHistory } from './line-history.ts';
import { nameOf } from './restore-plan.ts';

/** Errors of a line that lacks a state. */
const LACKING: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'COMPACTED', 'POSITION_MISMATCH', 'HISTORY_MISMATCH', 'DAMAGED']);
/** Errors of a state that is nowhere in what could be read. */
const ABSENT: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'COMPACTED', 'POSITION_MISMATCH']);
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

/**
 * Says of a state that is not in the archive which damage may have taken it: nothing lists what a damaged object held.
 * @param lines those where it was looked for, the most important first
 */
export function namingDamage(error: unknown, lines: readonly LineHistory[], problems: readonly ArchiveProblem[], target: string): unknown {
  if (!isEvertreeError(error) || !ABSENT.has(error.code)) return error;
  for (const line of lines) {
    const problem = problems.find(each => each.line === undefined || each.line === line.id);
    if (problem === undefined) continue;
    const { object, text } = problem;
    const message =
      `${error.message}; it may be in what is damaged in ${nameOf(line)}: ${text}. "evertree verify ${target}" names all that is ` +
      `damaged, and "evertree backups ${target}" what can be restored`;
    return new EvertreeError(error.code, message, { ...error.details, object, problem: text }, error);
  }
  return error;
}
