import { covers } from '@evertree/core';
import type { Epoch, ExactPosition, Hello, Store } from '@evertree/core';
import type { ConsumerStatus } from './status.ts';

/** A primary's history as its hello told it, up to where that site stood then. */
export class HeardHistory {
  readonly site: string;
  readonly epochs: readonly Epoch[];
  readonly last: ExactPosition;

  constructor({ site, epochs, position }: Hello) {
    this.site = site;
    this.epochs = epochs;
    this.last = position;
  }

  /** Whether this site has not reached that position yet. */
  isAheadOf({ position }: Store): boolean {
    return position.revision < this.last.revision;
  }

  /**
   * How far this site is behind. Revisions count the distance within one history only: null where neither of the two
   * positions lies in the history of the other.
   * @param lastTime commit time of what was applied last
   * @param away set while no primary is linked: when one was heard last
   */
  lag(store: Store, lastTime: number | undefined, away: { readonly since: number | null } | undefined): ConsumerStatus['lag'] {
    const { epochs, position: last, clock } = store;
    if (!covers(this, last) && !covers({ epochs, last }, this.last)) return null;
    const revisions = Math.max(0, this.last.revision - last.revision);
    const now = clock.now();
    if (away !== undefined) return { revisions, ms: away.since === null ? null : Math.max(0, now - away.since) };
    if (revisions === 0) return { revisions, ms: 0 };
    return { revisions, ms: lastTime === undefined ? null : Math.max(0, now - lastTime) };
  }
}
