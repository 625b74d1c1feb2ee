import { covers, DivergenceSummary, isEvertreeError, parseFrame } from '@evertree/core';
import type { Epoch, ExactPosition, Frame, Hello, Store } from '@evertree/core';
import type { ConsumerStatus } from './status.ts';

/** Commits that came from a primary, and are not in this site's history. */
export interface UnappliedCommits {
  readonly last: ExactPosition;
  readonly commits: number;
  /** At most `SUMMARY_LIMIT` of each. */
  readonly paths: readonly string[];
  readonly authors: readonly string[];
}

/** A primary's history as its hello told it, up to where that site stood then; and what came of it in vain. */
export class HeardHistory {
  readonly site: string;
  readonly epochs: readonly Epoch[];
  readonly last: ExactPosition;
  #unapplied: UnappliedCommits | undefined;

  constructor({ site, epochs, position }: Hello) {
    this.site = site;
    this.epochs = epochs;
    this.last = position;
  }

  /** What the frame in quarantine tells of its commits; undefined where there is none. */
  get unapplied(): UnappliedCommits | undefined {
    return this.#unapplied;
  }

  /** A frame came that can't be applied: nothing is taken after it. What is no frame tells nothing. */
  leaveOut(bytes: Uint8Array): void {
    const frame = readable(bytes);
    if (frame === undefined) return;
    const summary = new DivergenceSummary();
    summary.add(frame);
    const { commits, paths, authors } = summary;
    this.#unapplied = { last: frame.header.last, commits, paths, authors };
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

/** What is known of a primary that has said hello. */
export function primaryAt(remote: string, { site, position: { epoch }, advertised }: Hello): ConsumerStatus['primary'] {
  return { site, remote, epoch, ...(advertised === undefined ? {} : { address: advertised }) };
}

/** The same while it feeds this site: it may have begun an epoch since its hello, its first one, say. */
export function primaryNow(primary: ConsumerStatus['primary'], { epochs }: Store): ConsumerStatus['primary'] {
  const { site, number = 0 } = epochs.at(-1) ?? {};
  return primary === null || site !== primary.site || number <= primary.epoch ? primary : { ...primary, epoch: number };
}

function readable(bytes: Uint8Array): Frame | undefined {
  try {
    return parseFrame(bytes);
  } catch (error) {
    if (isEvertreeError(error)) return undefined;
    throw error;
  }
}
