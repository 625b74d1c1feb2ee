import { type EpochName, type ExactPosition, type Fencing, highestEpoch, raiseFencing } from '@evertree/core';
import type { RoleLimits } from './limits.ts';
import { type Extent, type LastPrimary, type ReachedSite, furthestOf, possibleLoss } from './losses.ts';
import type { PromotionAction, PromotionEvent, PromotionRequest } from './promotion-events.ts';
import { type PromotionFacts, type PromotionGround, begunElsewhere, freeNumber, planHash, promotionFacts } from './promotion-facts.ts';

/**
 * How far a promotion has come.
 * - `asking`: other sites are asked where they stand.
 * - `raising`: they are asked for a promise.
 * - `adopting`: one that is further lends its frames.
 * - `beginning`: the epoch's first frame is on its way to the disk.
 * - `over`.
 */
export type PromotionStep = 'asking' | 'raising' | 'adopting' | 'beginning' | 'over';

export type PromotionLimits = Pick<RoleLimits, 'silentMs' | 'claimMs' | 'lendMs'>;

const NOTHING: readonly PromotionAction[] = Object.freeze([]);

/** A site that knows a higher number is met by a higher one, so often. */
const RAISES = 3;

/**
 * A promotion: events in, actions out.
 *
 * Law: the base of the new epoch is fixed only after every site that answers has promised, and this site's history is
 * the furthest of all that promised (rule 15). The number is above all that were heard of (rule 16). A log promises, too:
 * by a claim, behind which no frame of a lower epoch counts. What a promotion that ended without an epoch heard of, the next
 * one exceeds, though it reach nobody: that of a dry run until the process ends, that of a refused one for good.
 */
export class PromotionMachine {
  readonly #request: PromotionRequest;
  readonly #limits: PromotionLimits;
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
  /** Sites have had their time, and logs have the rest of theirs. */
  #waitsForLogs = false;
  readonly #promised = new Map<string, Extent & { readonly site: string }>();
  /** Sites, this one too, that promised a number of this promotion. A promise outlives a promotion that fails. */
  readonly #bound = new Set<string>();
  /** Sites and addresses whose acknowledgements to an older primary can't be ruled out. */
  readonly #unheard = new Set<string>();
  #own: Extent | undefined;
  /** The highest epoch for whose sake a site did not promise. It may have begun, or be promised only. */
  #bar: Fencing | undefined;

  constructor(request: PromotionRequest, limits: PromotionLimits) {
    this.#request = request;
    this.#limits = limits;
  }

  get step(): PromotionStep {
    return this.#step;
  }

  get #facts(): PromotionFacts {
    return promotionFacts(this.#ground!, [...this.#reached.values()], [...this.#unreached]);
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
        return this.#late();
      case 'failed':
        return this.#refuse(event.why);
      default:
        return NOTHING;
    }
  }

  /** The time for answers is over. A log has longer than a site: it has to be reached, and read. */
  #late(): readonly PromotionAction[] {
    const { logs } = this.#ground!;
    for (const remote of this.#waiting) {
      if (!this.#waitsForLogs && logs.includes(remote)) continue;
      this.#waiting.delete(remote);
      this.#unreached.add(remote);
    }
    return this.#waiting.size === 0 ? this.#judge() : this.#waitForLogs();
  }

  #waitForLogs(): readonly PromotionAction[] {
    this.#waitsForLogs = true;
    return [{ type: 'after', ms: this.#limits.claimMs - this.#limits.silentMs }];
  }

  #judge(): readonly PromotionAction[] {
    const facts = this.#facts;
    const confirm = planHash(facts);
    const { dryRun, force } = this.#request;
    const inTheWay = facts.obstacles.filter(({ lasting }) => !force || lasting === true);
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
    const others = [...this.#reached.values()];
    const least = Math.max(number, this.#epoch.number);
    this.#epoch = { number: freeNumber(this.#ground!, others, least), id: this.#request.id };
    this.#raises += 1;
    this.#waitsForLogs = false;
    this.#promised.clear();
    this.#asked.clear();
    this.#asked.add(this.#ground!.site);
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
        this.#bound.add(this.#ground!.site);
        return this.#answered(this.#ground!.site);
      case 'promised':
        if (!this.#isPresent(event.epoch)) return NOTHING;
        this.#promised.set(event.site, { site: event.site, ...event.extent });
        this.#bound.add(event.site);
        return this.#answered(event.site);
      case 'not-promised': {
        if (!this.#isPresent(event.epoch)) return NOTHING;
        const { highest } = event;
        if (highest !== undefined) this.#bar = raiseFencing(this.#bar, { ...highest, begun: false }) ?? this.#bar;
        if (highest !== undefined && highest.number >= this.#epoch.number && this.#raises < RAISES) return this.#raiseAbove(highest.number);
        if (!this.#request.force) return this.#refuse(`${event.site} does not promise: ${event.text}`, this.#facts);
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
    const isLate = (site: string) => site !== own && (this.#waitsForLogs || this.#reached.get(site)?.isLog !== true);
    for (const site of this.#asked) {
      if (!isLate(site)) continue;
      this.#asked.delete(site);
      this.#unheard.add(site);
    }
    if (this.#asked.size === 0) return this.#adopt();
    const logsAreLeft = this.#asked.size > (this.#asked.has(own) ? 1 : 0);
    return logsAreLeft ? this.#waitForLogs() : NOTHING;
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
    if (number >= this.#epoch.number) return this.#raiseAgain(number);
    this.#step = 'beginning';
    return [{ type: 'begin-epoch', epoch: this.#epoch }];
  }

  #raiseAgain(above: number): readonly PromotionAction[] {
    if (this.#raises >= RAISES) return this.#refuse(`other sites begin or promise epochs all the time, the last one ${above}`);
    this.#step = 'raising';
    return this.#raiseAbove(above);
  }

  /** The hello came after this site had promised, or just before: nobody asks its site for a promise. */
  #surpassed(by: number, primary: LastPrimary | undefined): readonly PromotionAction[] {
    this.#ground = { ...this.#ground!, heardNumber: by, primary };
    return this.#raiseAgain(by);
  }

  #finish(event: PromotionEvent): readonly PromotionAction[] {
    switch (event.type) {
      case 'lent':
        return this.#step === 'adopting' ? [{ type: 'after', ms: this.#limits.lendMs }] : NOTHING;
      case 'not-lent':
        return this.#step === 'adopting' ? this.#notLent(event.site, event.text) : NOTHING;
      case 'adopted':
        this.#own = event.own;
        return this.#step === 'adopting' ? this.#begin() : NOTHING;
      case 'surpassed':
        return this.#step === 'beginning' ? this.#surpassed(event.by, event.primary) : NOTHING;
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

  /** Only a log may be overruled: a site that is further can be promoted itself. */
  #notLent(site: string, text: string): readonly PromotionAction[] {
    const isLog = this.#reached.get(site)?.isLog === true;
    const remedy = isLog ? 'Promote a secondary that has read them, or leave them behind (--force)' : `Promote ${site} instead`;
    const why = `${site} is further, and can't lend its frames: ${text}. ${remedy}`;
    if (!isLog || !this.#request.force) return this.#refuse(why);
    this.#promised.delete(site);
    this.#unheard.add(site);
    return this.#adopt();
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
    return [{ type: 'refuse', why: why + this.#bonds(), facts, heard: this.#heard() }];
  }

  /** What a promotion that failed has changed all the same. */
  #bonds(): string {
    if (this.#bound.size === 0) return '';
    const names = [...this.#bound].join(', ');
    return `. Its epoch was promised already, by ${names}: until a site is promoted, they take no writes and acknowledge none. Promote one again`;
  }

  /** A dry run changes nothing. */
  #heard(): Fencing | undefined {
    if (this.#request.dryRun || this.#own === undefined) return undefined;
    const begun = begunElsewhere(this.#own, [...this.#reached.values()]);
    return this.#bar === undefined ? begun : (raiseFencing(begun, this.#bar) ?? begun);
  }
}
