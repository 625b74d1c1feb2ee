import {
  type EpochName,
  type ExactPosition,
  type Fencing,
  NO_EPOCH_ID,
  type Obstacle,
  compareEpochs,
  highestEpoch,
  raiseFencing,
  takenUpTo,
} from '@evertree/core';
import { type Adoption, type Extent, type LastPrimary, type PossibleLoss, type ReachedSite, adoption, possibleLoss } from './losses.ts';

/** Something that stands against a promotion. `lasting`: `force` does not help. */
export interface PromotionObstacle extends Obstacle {
  readonly lasting?: boolean;
}

/** What this site knows of itself, and of the primary that it followed. */
export interface PromotionGround extends Extent {
  readonly site: string;
  readonly fencedBy: EpochName | undefined;
  /** The highest number that others told it of: `HeardEpochs`. */
  readonly heardNumber: number;
  /** What stands against it here: some of it can't be forced. */
  readonly obstacles: readonly PromotionObstacle[];
  readonly primary: LastPrimary | undefined;
  readonly lastContact: number | undefined;
  /** The addresses of its primary file. */
  readonly remotes: readonly string[];
  /** Those of them where a log is. */
  readonly logs: readonly string[];
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
  /** Undefined where this site is the furthest. */
  readonly adopts: Adoption | undefined;
  readonly lost: PossibleLoss;
  readonly obstacles: readonly PromotionObstacle[];
}

/** @param unreached addresses where nobody answered */
export function promotionFacts(ground: PromotionGround, reached: readonly ReachedSite[], unreached: readonly string[]): PromotionFacts {
  const { site, last: position, primary, lastContact, obstacles } = ground;
  return {
    site,
    position,
    primary: primary && { site: primary.site, position: primary.heard.last },
    lastContact,
    reached,
    unreached,
    adopts: adoption(ground, reached),
    lost: possibleLoss(ground, reached, primary),
    obstacles: [...obstacles, ...reached.flatMap(other => obstaclesAt(other, ground))],
  };
}

function obstaclesAt(other: ReachedSite, { epochs, last, primary, obstacles: told }: PromotionGround): PromotionObstacle[] {
  const highest = highestEpoch(other.epochs, other.last);
  const isInOurs = highest.number === 0 || epochs.some(({ number, id }) => number === highest.number && id === highest.id);
  // A log keeps what was left behind: a promotion that lost to the history of this site.
  const isKnown = isInOurs || (other.isLog === true && compareEpochs(highest, highestEpoch(epochs, last)) < 0);
  const obstacles: PromotionObstacle[] = [];
  const isTold = told.some(({ code }) => code === 'primary-alive') && other.site === primary?.site;
  if (other.standing === 'primary' && !isTold) {
    const text = `${other.site} is a primary that answers; use switchover: it loses nothing`;
    obstacles.push({ code: 'primary-alive', text });
  }
  if (!isKnown) {
    const [whom, what] = other.isLog === true ? ['a secondary that read that', 'read it'] : [other.site, 'follow it'];
    const text = `${other.site} is in epoch ${highest.number} (${highest.id}), which this site never saw; promote ${whom}, or let this site ${what} first`;
    obstacles.push({ code: 'epoch-unknown', text });
  }
  return obstacles;
}

/** The lowest number that is above `least` and all that were heard of (rule 16), the number after a handover among them (rule 13). */
export function freeNumber(ground: PromotionGround, reached: readonly ReachedSite[], least: number): number {
  const { fencedBy, heardNumber, primary } = ground;
  // Of the primary that it followed last this site may have no frame.
  const known = [ground, ...reached, ...(primary === undefined ? [] : [primary.heard])];
  const fences = reached.map(other => other.fencedBy?.number ?? 0);
  return Math.max(least, fencedBy?.number ?? 0, heardNumber, ...known.map(takenUpTo), ...fences) + 1;
}

/** The highest epoch that began elsewhere, as the sites that answered tell; undefined where this site's own is not below it. */
export function begunElsewhere({ epochs, last }: Extent, reached: readonly ReachedSite[]): Fencing | undefined {
  const own = highestEpoch(epochs, last);
  let heard: Fencing | undefined;
  for (const other of reached) {
    const { number, id } = highestEpoch(other.epochs, other.last);
    // A log tells no table, and its last frame may be of a restart: the lowest id of that number outranks nobody who began it.
    const begun = { number, id: other.isLog === true ? NO_EPOCH_ID : id, begun: true };
    if (compareEpochs(begun, own) > 0) heard = raiseFencing(heard, begun) ?? heard;
  }
  return heard;
}

/** Names what a promotion was decided on: positions, epochs, sites and obstacles; never a time. */
export function planHash({
  site,
  position,
  primary,
  reached,
  unreached,
  obstacles,
}: Omit<PromotionFacts, 'adopts' | 'lost' | 'lastContact'>): string {
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
