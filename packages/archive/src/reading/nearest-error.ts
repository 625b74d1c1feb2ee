import { EvertreeError, isEvertreeError } from '@evertree/core';
import { type LineHistory, nearestInWords, nearestStates, withoutObjects } from './line-history.ts';
import { objectOf } from './object-source.ts';

/** An error about a damaged object, with the states that can be restored without it. */
export function withNearest(error: unknown, line: LineHistory, revision: number | undefined): unknown {
  const path = isEvertreeError(error, 'DAMAGED') ? objectOf(error) : undefined;
  if (path === undefined || !isEvertreeError(error) || 'nearest' in error.details) return error;
  const { states } = withoutObjects(line, new Set([path]));
  const nearest = nearestStates(states, revision ?? line.states.at(-1)?.to.revision ?? 0);
  return new EvertreeError('DAMAGED', `${error.message}; ${nearestInWords(nearest)}`, { ...error.details, nearest }, error.cause);
}
