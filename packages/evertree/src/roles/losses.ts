import type { UnappliedCommits } from '@evertree/consumer';
import { type Epoch, type EpochName, type ExactPosition, type Hello, compareEpochs, covers, forkOf, highestEpoch } from '@evertree/core';

/** Where a history stands, and its table of epochs. */
export interface Extent {
  readonly epochs: readonly Epoch[];
  readonly last: ExactPosition;
}

/** A site that answered a promotion's question. */
export interface ReachedSite extends Extent {
  readonly site: string;
  readonly standing: Hello['standing'];
  readonly fencedBy: EpochName | undefined;
  /** It is a log, which promises by a claim. */
  readonly isLog?: true;
}

/** What a promotion may lose. */
export interface PossibleLoss {
  /** Commits that are known to exist, and are at no site that answers. */
  readonly commits: number;
  /** The primary does not answer: it may hold more, of which nobody here has heard. */
  readonly more: boolean;
  /** Of how many of `commits` paths and authors are known: of those whose frame is in quarantine here. */
  readonly named: number;
  /** Which paths these change, and who made them; at most `SUMMARY_LIMIT` of each. */
  readonly paths: readonly string[] | 'unknown';
  readonly authors: readonly string[] | 'unknown';
}

/** Another site is further: a promotion takes over its history, so that what it has is not lost. */
export interface Adoption {
  readonly site: string;
  /** How many commits this site gets from it. */
  readonly commits: number;
  /** How many of this site's own are not in that history: they are kept as a divergence. */
  readonly leaves: number;
}

/** The further of two histories: that of the higher last epoch, then the higher revision. */
function isFurther(a: Extent, b: Extent): boolean {
  const order = compareEpochs(highestEpoch(a.epochs, a.last), highestEpoch(b.epochs, b.last));
  return order === 0 ? a.last.revision > b.last.revision : order > 0;
}

/** The site whose history a promotion takes over before it begins; undefined where this site's is the furthest. */
export function furthestOf<Site extends Extent>(own: Extent, others: readonly Site[]): Site | undefined {
  let furthest: Site | undefined;
  for (const other of others) if (isFurther(other, furthest ?? own)) furthest = other;
  return furthest;
}

export function adoption(own: Extent, reached: readonly ReachedSite[]): Adoption | undefined {
  const furthest = furthestOf(own, reached);
  if (furthest === undefined) return undefined;
  const fork = forkOf(own, furthest);
  return { site: furthest.site, commits: furthest.last.revision - fork.revision, leaves: own.last.revision - fork.revision };
}

/** The primary that a site followed last, and its history, as far as this site heard of it. */
export interface LastPrimary {
  readonly site: string;
  readonly heard: Extent;
  /** What came from it, and could not be applied here. */
  readonly unapplied?: UnappliedCommits | undefined;
}

/** @param reached the sites whose frames this site takes over, if they are further */
export function possibleLoss(own: Extent, reached: readonly ReachedSite[], primary: LastPrimary | undefined): PossibleLoss {
  const furthest = furthestOf(own, reached);
  const best = furthest ?? own;
  const isThere = reached.some(({ site }) => site === primary?.site);
  const missing = primary === undefined || isThere || covers(best, primary.heard.last) ? 0 : lacking(best, primary.heard);
  const more = primary !== undefined && !isThere;
  // What another site has of those that are in quarantine here can't be told one by one.
  const unapplied = missing > 0 && furthest === undefined ? primary?.unapplied : undefined;
  const { commits: named, paths, authors } = unapplied ?? (missing === 0 && !more ? NOTHING_LOST : NOTHING_NAMED);
  return { commits: missing, more, named, paths, authors };
}

const NOTHING_LOST = Object.freeze({ commits: 0, paths: [], authors: [] });
const NOTHING_NAMED = Object.freeze({ commits: 0, paths: 'unknown', authors: 'unknown' });

/** Revisions count within one history: where the heard one went through our end, or else from the fork on. */
function lacking(best: Extent, heard: Extent): number {
  return covers(heard, best.last) ? Math.max(0, heard.last.revision - best.last.revision) : 0;
}
