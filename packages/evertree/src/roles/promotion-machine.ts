import { type EpochName, type ExactPosition, type Obstacle, highestEpoch } from '@evertree/core';
import type { RoleLimits } from './limits.ts';
import {
  type Extent,
  type LastPrimary,
  type PossibleLoss,
  type PromotionFacts,
  type ReachedSite,
  adoption,
  furthestOf,
  planHash,
  possibleLoss,
} from './losses.ts';

/**
 * How far a promotion has come.
 * - `asking`: other sites are asked where they stand.
 * - `raising`: they are asked for a promise.
 * - `adopting`: one that is further lends its frames.
 * - `beginning`: the epoch's first frame is on its way to the disk.
 * - `over`.
 */
export type PromotionStep = 'asking' | 'raising' | 'adopting' | 'beginning' | 'over';

/** What this site knows of itself, and of the primary that it followed. */
export interface PromotionGround extends Extent {
  readonly site: string;
  readonly fencedBy: EpochName | undefined;
  /** What stands against it here: some of it can't be forced. */
  readonly obstacles: readonly PromotionObstacle[];
  readonly primary: LastPrimary | undefined;
  readonly lastContact: number | undefined;
  /** The addresses of its primary file. */
  readonly remotes: readonly string[];
}

/** `lasting`: `force` does not help. */
export interface PromotionObstacle extends Obstacle {
  readonly lasting?: boolean;
}

export interface PromotionRequest {
  readonly dryRun: boolean;
  readonly force: boolean;
  /** The plan hash of a dry run. */
  readonly confirm: string | undefined;
  /** Of the epoch to begin, drawn for this promotion. */
  readonly id: string;
}

export type PromotionEvent =
  | { readonly type: 'begin'; readonly ground: PromotionGround }
  | { readonly type: 'met'; readonly remote: string; readonly site: ReachedSite }
  | { readonly type: 'unreachable'; readonly remote: string }
  /** Its link ended. */
  | { readonly type: 'gone'; readonly site: string }
  | { readonly type: 'promised'; readonly site: string; readonly epoch: EpochName; readonly extent: Extent }
  | {
      readonly type: 'not-promised';
      readonly site: string;
      readonly epoch: EpochName;
      readonly text: string;
      readonly highest: EpochName | undefined;
    }
  /** This site has promised itself, durably; where it stands from then on. */
  | { readonly type: 'raised'; readonly epoch: EpochName; readonly own: Extent }
  /** A frame came from the site that lends. */
  | { readonly type: 'lent' }
  | { readonly type: 'adopted'; readonly own: Extent }
  | { readonly type: 'stable'; readonly position: ExactPosition }
  /** What was asked of this site's store failed. */
  | { readonly type: 'failed'; readonly why: string }
  | { readonly type: 'due' };

export type PromotionAction =
  /** Dial every remote, and hear each one's hello. Answer: `met`, `unreachable`, for each. */
  | { readonly type: 'dial' }
  /** Promise here, durably, then ask these sites. Answer: `raised`, and for each `promised`, `not-promised`, `gone`. */
  | { readonly type: 'raise'; readonly epoch: EpochName; readonly sites: readonly string[] }
  /** Take over the history of this site, as far as it promised. Answer: `adopted`, `failed`. */
  | { readonly type: 'adopt'; readonly from: string; readonly extent: Extent }
  /** Answer: `stable`, `failed`. */
  | { readonly type: 'begin-epoch'; readonly epoch: EpochName }
  | { readonly type: 'after'; readonly ms: number }
  | { readonly type: 'foretell'; readonly facts: PromotionFacts; readonly possible: boolean; readonly confirm: string }
  | {
      readonly type: 'done';
      readonly epoch: EpochName;
      readonly position: ExactPosition;
      readonly lost: PossibleLoss;
      readonly unheard: readonly string[];
    }
  | { readonly type: 'refuse'; readonly why: string; readonly facts: PromotionFacts | undefined };

const NOTHING: readonly PromotionAction[] = Object.freeze([]);

/** A site that knows a higher number is met by a higher one, so often. */
const RAISES = 3;

/**
 * A promotion: events in, actions out.
 *
 * Law: the base of the new epoch is fixed only after every site that answers has promised, and this site's history is
 * the furthest of all that promised (rule 15). The number is above all that were heard of (rule 16).
 */
export class PromotionMachine {
  readonly #request: PromotionRequest;
  readonly #limits: Pick<RoleLimits, 'silentMs' | 'lendMs'>;
  #step: PromotionStep = 'asking';
  #ground: PromotionGround | undefined;
  /** Remotes that neither answered nor failed. */
  readonly #waiting = new Set<string>();
  readonly #unreached = new Set<string>();
  readonly #reached = new Map<string, ReachedSite>();
  #epoch: EpochName = { number: 0, id: '' };
  #raises = 0;
  /** Sites that were asked for a promise of `#epoch` and have not answered; this site under its own name. */
  readonly #asked = new Set<string>();
  readonly #promised = new Map<string, Extent & { readonly site: string }>();
  /** Sites and addresses whose acknowledgements to an older primary can't be ruled out. */
  readonly #unheard = new Set<string>();
  #own: Extent | undefined;

  constructor(request: PromotionRequest, limits: Pick<RoleLimits, 'silentMs' | 'lendMs'>) {
    this.#request = request;
    this.#limits = limits;
  }

  get step(): PromotionStep {
    return this.#step;
  }

  take(event: PromotionEvent): readonly PromotionAction[] {
    switch (this.#step) {
      case 'asking':
        return this.#ask(event);
      case 'raising':
        return this.#raise(event);
      case 'adopting':
      case 'beginning':
        return this.#finish(event);
      case 'over':
        return NOTHING;
    }
  }

  #ask(event: PromotionEvent): readonly PromotionAction[] {
    switch (event.type) {
      case 'begin':
        this.#ground = event.ground;
        this.#own = event.ground;
        for (const remote of event.ground.remotes) this.#waiting.add(remote);
        if (this.#waiting.size === 0) return this.#judge();
        return [{ type: 'dial' }, { type: 'after', ms: this.#limits.silentMs }];
      case 'met':
        if (!this.#waiting.delete(event.remote)) return NOTHING;
        this.#reached.set(event.site.site, event.site);
        return this.#waiting.size === 0 ? this.#judge() : NOTHING;
      case 'unreachable':
        if (!this.#waiting.delete(event.remote)) return NOTHING;
        this.#unreached.add(event.remote);
        return this.#waiting.size === 0 ? this.#judge() : NOTHING;
      case 'due':
        for (const remote of this.#waiting) this.#unreached.add(remote);
        this.#waiting.clear();
        return this.#judge();
      case 'failed':
        return this.#refuse(event.why);
      default:
        return NOTHING;
    }
  }

  #facts(): PromotionFacts {
    const { site, last: position, primary, lastContact, obstacles } = this.#ground!;
    const reached = [...this.#reached.values()];
    return {
      site,
      position,
      primary: primary && { site: primary.site, position: primary.heard.last },
      lastContact,
      reached,
      unreached: [...this.#unreached],
      adopts: adoption(this.#ground!, reached),
      lost: possibleLoss(this.#ground!, reached, primary),
      obstacles: [...obstacles, ...reached.flatMap(each => this.#obstaclesAt(each))],
    };
  }

  #obstaclesAt(other: ReachedSite): PromotionObstacle[] {
    const highest = highestEpoch(other.epochs, other.last);
    const isKnown = highest.number === 0 || this.#ground!.epochs.some(({ number, id }) => number === highest.number && id === highest.id);
    const obstacles: PromotionObstacle[] = [];
    const isTold = this.#ground!.obstacles.some(({ code }) => code === 'primary-alive') && other.site === this.#ground!.primary?.site;
    if (other.standing === 'primary' && !isTold) {
      const text = `${other.site} is a primary that answers; use switchover: it loses nothing`;
      obstacles.push({ code: 'primary-alive', text });
    }
    if (!isKnown) {
      const text = `${other.site} is in epoch ${highest.number} (${highest.id}), which this site never saw; promote ${other.site}, or let this site follow it first`;
      obstacles.push({ code: 'epoch-unknown', text });
    }
    return obstacles;
  }

  #judge(): readonly PromotionAction[] {
    const facts = this.#facts();
    const confirm = planHash(facts);
    const { dryRun, force } = this.#request;
    const inTheWay = (facts.obstacles as readonly PromotionObstacle[]).filter(({ lasting }) => !force || lasting === true);
    if (dryRun) {
      this.#step = 'over';
      return [{ type: 'foretell', facts, possible: inTheWay.length === 0, confirm }];
    }
    // What no new dry run changes is said first.
    const isHopeless = inTheWay.some(({ lasting }) => lasting === true);
    if (!isHopeless && this.#request.confirm !== undefined && this.#request.confirm !== confirm) {
      return this.#refuse('the facts are not those of the dry run any more; look at a new one, and confirm that', facts);
    }
    if (inTheWay.length > 0) return this.#refuse(inTheWay.map(({ text }) => text).join('; '), facts);
    for (const remote of this.#unreached) this.#unheard.add(remote);
    this.#step = 'raising';
    return this.#raiseAbove(0);
  }

  /** Asks everybody for the lowest number that is above all that were heard of. */
  #raiseAbove(number: number): readonly PromotionAction[] {
    const { site, fencedBy } = this.#ground!;
    const others = [...this.#reached.values()];
    const heard = [
      number,
      this.#epoch.number,
      fencedBy?.number ?? 0,
      ...[this.#ground!, ...others].flatMap(({ epochs, last }) => [last.epoch, ...epochs.map(epoch => epoch.number)]),
      ...others.map(other => other.fencedBy?.number ?? 0),
    ];
    // The number after an epoch that ended in a handover belongs to its target: it may begin at any time (rule 13).
    const ends = [this.#ground!, ...others].flatMap(({ epochs }) =>
      epochs.filter(({ end }) => end !== undefined).map(epoch => epoch.number + 1),
    );
    this.#epoch = { number: Math.max(...heard, ...ends) + 1, id: this.#request.id };
    this.#raises += 1;
    this.#promised.clear();
    this.#asked.clear();
    this.#asked.add(site);
    for (const other of this.#reached.keys()) this.#asked.add(other);
    return [
      { type: 'raise', epoch: this.#epoch, sites: [...this.#reached.keys()] },
      { type: 'after', ms: this.#limits.silentMs },
    ];
  }

  #raise(event: PromotionEvent): readonly PromotionAction[] {
    switch (event.type) {
      case 'raised':
        if (!this.#isPresent(event.epoch)) return NOTHING;
        this.#own = event.own;
        return this.#answered(this.#ground!.site);
      case 'promised':
        if (!this.#isPresent(event.epoch)) return NOTHING;
        this.#promised.set(event.site, { site: event.site, ...event.extent });
        return this.#answered(event.site);
      case 'not-promised': {
        if (!this.#isPresent(event.epoch)) return NOTHING;
        const { highest } = event;
        if (highest !== undefined && highest.number >= this.#epoch.number && this.#raises < RAISES) return this.#raiseAbove(highest.number);
        if (!this.#request.force) return this.#refuse(`${event.site} does not promise: ${event.text}`, this.#facts());
        return this.#lostOne(event.site);
      }
      case 'gone':
        return this.#lostOne(event.site);
      case 'due':
        return this.#silent();
      case 'failed':
        return this.#refuse(event.why);
      default:
        return NOTHING;
    }
  }

  #isPresent({ number, id }: EpochName): boolean {
    return number === this.#epoch.number && id === this.#epoch.id;
  }

  #lostOne(site: string): readonly PromotionAction[] {
    if (!this.#asked.has(site)) return NOTHING;
    this.#unheard.add(site);
    return this.#answered(site);
  }

  /** The time for promises is over. This site's own is waited for: its disk says when it fails. */
  #silent(): readonly PromotionAction[] {
    const own = this.#ground!.site;
    const isWaiting = this.#asked.has(own);
    for (const site of this.#asked) if (site !== own) this.#unheard.add(site);
    this.#asked.clear();
    if (!isWaiting) return this.#adopt();
    this.#asked.add(own);
    return NOTHING;
  }

  #answered(site: string): readonly PromotionAction[] {
    return this.#asked.delete(site) && this.#asked.size === 0 ? this.#adopt() : NOTHING;
  }

  #adopt(): readonly PromotionAction[] {
    const furthest = furthestOf(this.#own!, [...this.#promised.values()]);
    if (furthest === undefined) return this.#begin();
    this.#step = 'adopting';
    const { site: from, epochs, last } = furthest;
    return [
      { type: 'adopt', from, extent: { epochs, last } },
      { type: 'after', ms: this.#limits.lendMs },
    ];
  }

  /** Another site may have begun an epoch of our number while promises were asked for, and this site followed it. */
  #begin(): readonly PromotionAction[] {
    const { number } = highestEpoch(this.#own!.epochs, this.#own!.last);
    if (number >= this.#epoch.number) {
      if (this.#raises >= RAISES) return this.#refuse(`other sites begin epochs all the time, the last one ${number}`);
      this.#step = 'raising';
      return this.#raiseAbove(number);
    }
    this.#step = 'beginning';
    return [{ type: 'begin-epoch', epoch: this.#epoch }];
  }

  #finish(event: PromotionEvent): readonly PromotionAction[] {
    switch (event.type) {
      case 'lent':
        return this.#step === 'adopting' ? [{ type: 'after', ms: this.#limits.lendMs }] : NOTHING;
      case 'adopted':
        this.#own = event.own;
        return this.#step === 'adopting' ? this.#begin() : NOTHING;
      case 'stable':
        return this.#step === 'beginning' ? this.#done(event.position) : NOTHING;
      case 'due':
        return this.#step === 'adopting' ? this.#refuse(`the site that is further lent nothing for ${this.#limits.lendMs} ms`) : NOTHING;
      case 'failed':
        return this.#refuse(event.why);
      default:
        return NOTHING;
    }
  }

  #done(position: ExactPosition): readonly PromotionAction[] {
    this.#step = 'over';
    const { primary } = this.#ground!;
    const promised = [...this.#reached.values()].filter(({ site }) => this.#promised.has(site));
    const lost = possibleLoss(this.#own!, promised, primary);
    return [{ type: 'done', epoch: this.#epoch, position, lost, unheard: [...this.#unheard] }];
  }

  #refuse(why: string, facts?: PromotionFacts): readonly PromotionAction[] {
    this.#step = 'over';
    return [{ type: 'refuse', why, facts }];
  }
}
