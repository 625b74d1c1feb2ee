import { EvertreeError } from '../errors.ts';
import type { Journal } from '../seams/journal.ts';

/**
 * - `open`.
 * - `full`: the disk has no room; no writes, reads go on, and writes again when there is room.
 * - `refusing`: no writes, because another copy of this stream is ahead or has a higher epoch.
 * - `failed`: a write or a sync failed; start again, and the site recovers from what the disk holds.
 * - `closed`.
 */
export type StoreState = 'open' | 'full' | 'refusing' | 'failed' | 'closed';

export function storeState(closed: boolean, journal: Journal, refusal: EvertreeError | undefined): StoreState {
  if (closed || journal.log.state === 'closed') return 'closed';
  if (journal.log.state === 'failed' || journal.log.state === 'full') return journal.log.state;
  return refusal === undefined ? 'open' : 'refusing';
}

/** The error that a write gets in a state, or at a secondary. */
export function whyNoWrites(state: StoreState, journal: Journal, refusal: EvertreeError | undefined): EvertreeError {
  const { site, role } = journal.identity;
  switch (state) {
    case 'closed':
      return new EvertreeError('CLOSED', 'this store is closed');
    case 'failed':
      return new EvertreeError(
        'STORAGE_FAILED',
        `the disk of ${site} failed; start it again to recover from what the disk holds`,
        {},
        journal.log.failure,
      );
    case 'full':
      return new EvertreeError('STORAGE_FULL', `the disk of ${site} is full; writes go on when there is room`, {}, journal.log.failure);
    default:
      if (role === 'secondary')
        return new EvertreeError('NOT_PRIMARY', `${site} is a secondary: it takes changes from its primary only; write there`);
      return refusal ?? new EvertreeError('FENCED', `${site} takes no writes`);
  }
}
