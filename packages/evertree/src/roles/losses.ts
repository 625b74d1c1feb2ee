import {
  type Epoch,
  type EpochName,
  type ExactPosition,
  type Hello,
  type Obstacle,
  compareEpochs,
  covers,
  highestEpoch,
} from '@evertree/core';

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
}

/** What a promotion may lose. */
export interface PossibleLoss {
  /** Commits that are known to exist, and are at no site that answers. */
  readonly commits: number;
  /** The primary does not answer: it may hold more, of which nobody here has heard. */
  readonly more: boolean;
  /** Which paths they change, and who made them, where that is known. */
  readonly paths: readonly string[] | 'unknown';
  readonly authors: readonly string[] | 'unknown';
}

/** What speaks for and against a promotion, as a dry run tells it. */
export interface PromotionFacts {
  readonly site: string;
  readonly position: ExactPosition;
  /** The primary that this site followed last, and where it was heard to stand. */
  readonly primary: { readonly site: string; readonly position: ExactPosition } | undefined;
  /** Milliseconds since 1970; undefined if it was never heard. */
  readonly lastContact: number | undefined;
  readonly reached: readonly ReachedSite[];
  /** Addresses where nobody answered. */
  readonly unreached: readonly string[];
  readonly lost: PossibleLoss;
  readonly obstacles: readonly Obstacle[];
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

/** @param heard the old primary's history, as far as this site heard of it */
export function possibleLoss(
  own: Extent,
  reached: readonly ReachedSite[],
  heard: Extent | undefined,
  primary: string | undefined,
): PossibleLoss {
  const best: Extent = furthestOf(own, reached) ?? own;
  const isThere = reached.some(({ site }) => site === primary);
  const missing = heard === undefined || isThere || covers(best, heard.last) ? 0 : lacking(best, heard);
  const more = primary !== undefined && !isThere;
  const isKnown = missing === 0 && !more;
  return { commits: missing, more, paths: isKnown ? [] : 'unknown', authors: isKnown ? [] : 'unknown' };
}

/** Revisions count within one history: where the heard one went through our end, or else from the fork on. */
function lacking(best: Extent, heard: Extent): number {
  return covers(heard, best.last) ? Math.max(0, heard.last.revision - best.last.revision) : 0;
}

/** Names what a promotion was decided on: positions, epochs, sites and obstacles; never a time. */
export function planHash({ site, position, primary, reached, unreached, obstacles }: Omit<PromotionFacts, 'lost' | 'lastContact'>): string {
  const others = reached
    .toSorted((a, b) => (a.site < b.site ? -1 : 1))
    .map(other => [other.site, other.standing, other.last, other.epochs.map(({ number, id }) => [number, id])]);
  const codes = obstacles.map(({ code }) => code).toSorted();
  return fnv64(JSON.stringify([site, position, primary ?? null, others, unreached.toSorted(), codes]));
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** 64-bit FNV-1a over UTF-16 units: it finds a change, not a forger. */
function fnv64(text: string): string {
  let hash = FNV_OFFSET;
  for (let index = 0; index < text.length; index++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(index))) * FNV_PRIME);
  }
  return hash.toString(16).padStart(16, '0');
}
