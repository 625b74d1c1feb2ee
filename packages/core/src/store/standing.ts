import { compareEpochs, highestEpoch, type Lineage } from '../lineage.ts';
import type { SiteIdentity } from '../seams/journal.ts';

/**
 * What a site is, as its history and its identity tell:
 * - `primary`: its last epoch is its own, no handover ends it, and the site knows of no higher one. It takes writes.
 * - `secondary`: its last epoch is another's, or it was told to follow. It takes no writes.
 * - `fenced`: its last epoch is its own, and it knows of a higher one. It takes no writes.
 * - `handing-over`: its last epoch is its own, and a handover ended it. It takes no writes and feeds all sites until it
 *   hears of an epoch that follows.
 */
export type Standing = 'primary' | 'secondary' | 'fenced' | 'handing-over';

/** What of a site its standing depends on. */
export type StandingIdentity = Pick<SiteIdentity, 'site' | 'role' | 'fencedBy'>;

/**
 * The history decides. The identity tells what it can't: the role of an empty directory, epochs that the site heard of,
 * and whether it was told to follow. A site that follows may have an epoch of its own last: it gave up its reign, or it
 * lost its disk and is catching up through an epoch that it once began.
 */
export function standingOf(identity: StandingIdentity, lineage: Pick<Lineage, 'epochs' | 'last'>): Standing {
  const entry = lineage.epochs.at(-1);
  if (identity.role === 'secondary' || (entry !== undefined && entry.site !== identity.site)) return 'secondary';
  const { fencedBy } = identity;
  if (!isOutranked(identity, lineage)) return entry?.end === undefined ? 'primary' : 'handing-over';
  // A promise ends no handover: another site may begin that epoch, or nobody.
  return entry?.end !== undefined && !fencedBy!.begun ? 'handing-over' : 'fenced';
}

/** Whether a site's last epoch is its own, and the site knows of a higher one. It may have been told to follow already. */
export function isFenced(identity: StandingIdentity, lineage: Pick<Lineage, 'epochs' | 'last'>): boolean {
  const entry = lineage.epochs.at(-1);
  return (entry === undefined || entry.site === identity.site) && isOutranked(identity, lineage);
}

function isOutranked({ fencedBy }: StandingIdentity, { epochs, last }: Pick<Lineage, 'epochs' | 'last'>): boolean {
  return fencedBy !== undefined && compareEpochs(fencedBy, highestEpoch(epochs, last)) > 0;
}
