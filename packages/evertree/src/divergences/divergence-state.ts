import { covers, type KeptDivergence, type Store } from '@evertree/core';

/**
 * What a site knows of a divergence without reading it:
 * - `standing`: its last position is in the site's history, so all of it is: a site that had it was promoted.
 * - `replayed`: all its commits were applied again.
 * - `open`: neither is known, so commits may be missing.
 */
export type DivergenceState = 'open' | 'replayed' | 'standing';

export function stateOf({ epochs, stable }: Store, { last, commits, replayed }: KeptDivergence): DivergenceState {
  if (covers({ epochs, last: stable.position }, last)) return 'standing';
  const applied = replayed.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  return applied >= commits && commits > 0 ? 'replayed' : 'open';
}
