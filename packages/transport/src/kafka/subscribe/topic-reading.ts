import type { ExactPosition, Hello, Reason, ResumeHint } from '@evertree/core';
import type { TopicClaims } from '../claims/topic-claims.ts';
import type { AnnouncedClaim, SnapshotRecord } from '../control.ts';
import { NewestTable } from '../newest-table.ts';
import { decodeTrailer } from '../trailer.ts';
import type { HeardPrimary } from './control-view.ts';
import type { SubscribeAction, SubscribeAnswer } from './actions.ts';
import type { PlacedFrame } from './frame-records.ts';
import { HeardClaims } from './heard-claims.ts';
import { Locator } from './locator.ts';
import type { LocatorStep } from './locator.ts';
import { Offer } from './offer.ts';
import type { OffsetMarks } from './offset-marks.ts';
import { SilentGap } from './silent-gap.ts';
import { SitePlace } from './site-place.ts';
import type { SiteRecords } from './site-records.ts';

/** What is known when a link begins. */
export interface LinkBeginning {
  /** The primary whose hello begins the link. */
  readonly primary: HeardPrimary;
  /** The newest snapshot that is announced. */
  readonly snapshot: SnapshotRecord | undefined;
  /** The last claim of each site, as `.control` tells. */
  readonly claims: readonly AnnouncedClaim[];
  /** Ids of snapshots that turned out not to be whole, or gone; links share it. */
  readonly spoilt: Set<string>;
}

/** How often the place is searched again because of one gap, before a snapshot is taken. */
const LOOKS_AGAIN = 2;
/** Searches in a row after the topic did not have what was looked for, before the link ends: a new one waits first. */
const MOST_MISSES = 8;
/** For how many heartbeats of the primary an empty topic is waited for to fill. */
const PATIENCE_HEARTBEATS = 3;
/** Empty fetches after the primary closed that show the topic's end: the first one may have begun before it closed. */
const LAST_FETCHES = 2;

const READ: readonly SubscribeAction[] = Object.freeze<SubscribeAction[]>([{ type: 'read' }]);
const SEEN: readonly SubscribeAction[] = Object.freeze<SubscribeAction[]>([{ type: 'seen' }, { type: 'read' }]);
/** Shared, so that a frame costs no list. */
const HAND: readonly SubscribeAction[] = Object.freeze<SubscribeAction[]>([{ type: 'hand' }, { type: 'read' }]);
const WAIT: readonly SubscribeAction[] = Object.freeze<SubscribeAction[]>([{ type: 'wait' }]);

/**
 * Decides what one link reads next: it finds the site's place in the topic, hands up the frames from there, and takes a
 * snapshot where the topic lacks frames. Pure: the driver reads, and answers each request with one event.
 *
 * Revisions are enough here: within one history they name positions, and what a promotion left behind is not read. The
 * consumer judges the exact position of each frame and of each snapshot.
 */
export class TopicReading {
  readonly #topic: string;
  readonly #partition: number;
  readonly #spoilt: Set<string>;
  readonly #records: SiteRecords;
  readonly #marks: OffsetMarks;
  readonly #silentGap = new SilentGap();
  readonly #offer = new Offer();
  /** What was superseded in the topic, as far as is known: neither read nor taken as a snapshot. */
  readonly table: NewestTable;
  readonly #claims = new HeardClaims();
  #primary: HeardPrimary;
  #snapshot: SnapshotRecord | undefined;
  /** The stream that is wanted; null until the site's hello, or a frame that it takes, names it. */
  #stream: string | null = null;
  readonly #place = new SitePlace();
  /** For the present search: the topic lacks frames before this position, and searching again did not help. */
  #missingBefore: ExactPosition | undefined;
  /** The search under way, from `bounds` to the step that ends it. */
  #locator: Locator | undefined;
  /** The snapshot that is being found or copied. */
  #copying: Extract<LocatorStep, { kind: 'snapshot' }> | undefined;
  /** The revision before the last gap, and how often frames were missing there. */
  #gap = { after: -1, times: 0 };
  /** How often in a row the topic did not have what was asked for. */
  #misses = 0;
  /** The site holds something, and asked for frames from the very beginning: only a whole tree helps it. */
  #isForkPassed = false;
  /** The site asked for frames after this position; considered at the next answer. */
  #asked: ExactPosition | undefined;
  /** Set while frames may never come: the reason for asking for a snapshot, and the time at which to ask. */
  #short: Reason | undefined;
  #shortAt = 0;
  /** The newest announced snapshot when the site began to wait for another. */
  #tried: string | undefined;
  /** Everything in the topic was fetched when the last fetch ended. */
  #caughtUp = false;
  /** The topic's end when the link began to read. Frames after it are signs of life of the primary. */
  #freshFrom: bigint | undefined;
  /** Fetches that brought nothing since the primary closed. */
  #emptyFetches = 0;

  constructor(topic: string, { primary, snapshot, claims, spoilt }: LinkBeginning, records: SiteRecords, marks: OffsetMarks) {
    this.#topic = topic;
    this.#partition = primary.record.partition;
    this.#spoilt = spoilt;
    this.#records = records;
    this.#marks = marks;
    this.#primary = primary;
    this.#snapshot = snapshot;
    this.table = new NewestTable(primary.record.hello.epochs);
    this.#claims.led(primary);
    for (const claim of claims) this.claimed(claim);
  }

  /** The stream that is wanted; null: any, as long as none is known. */
  get stream(): string | null {
    return this.#stream ?? this.#primary.record.hello.stream;
  }

  /** Which reigns stand in the topic, as far as is known. */
  get claims(): TopicClaims {
    return this.#claims.standing;
  }

  /** Nothing is left to read. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  begin(hello: Hello, resume: ResumeHint | undefined): readonly SubscribeAction[] {
    this.#stream = hello.stream;
    this.#offer.begin(hello.catchesUp === true);
    const trailer = resume?.trailer && decodeTrailer(resume.trailer);
    const isHere = trailer?.topic === this.#topic && trailer.partition === this.#partition;
    this.#place.moveTo(hello.position, resume?.time, isHere ? trailer.offset : undefined);
    return this.#locate();
  }

  /** The primary spoke. */
  heard(primary: HeardPrimary): void {
    this.#primary = primary;
    this.table.hear(primary.record.hello.epochs);
    this.#claims.led(primary);
  }

  /** A site claims an epoch, or has. */
  claimed(claim: AnnouncedClaim): void {
    if (this.stream === null || claim.stream === this.stream) this.#claims.claimed(claim);
  }

  announced(snapshot: SnapshotRecord): void {
    this.#snapshot = snapshot;
  }

  /** The site saw a gap. */
  resend(after: ExactPosition): void {
    this.#asked = after;
  }

  step(event: SubscribeAnswer, now: number): readonly SubscribeAction[] {
    switch (event.type) {
      case 'bounds':
        this.#freshFrom ??= event.high;
        this.#locator = this.#makeLocator(event);
        return this.#follow(this.#locator.first(), now);
      case 'looked':
        this.#misses = 0;
        return this.#locator === undefined ? this.#locate() : this.#follow(this.#locator.judge(event.header), now);
      case 'frame':
        return this.#take(event);
      case 'fetched':
        return this.#fetched(event, now);
      case 'out-of-range':
        return this.#missed();
      case 'snapshots-begin':
        return this.#copy(event.low);
      case 'copied':
        return this.#copied();
      case 'spoilt':
        return this.#endSpoilt(event.why);
      case 'woken':
        return this.#woken();
    }
  }

  /** Retention removed what was to be read, or the topic was made anew. */
  #missed(): readonly SubscribeAction[] {
    this.#misses += 1;
    if (this.#misses <= MOST_MISSES) return this.#locate();
    const explanation = `${this.#topic} did not have what was looked for, ${this.#misses} times in a row`;
    return [{ type: 'end', reason: 'lost', explanation, byPeer: false }];
  }

  /** Finds the site's place. @param missingBefore the topic lacks frames before it, and searching again did not help */
  #locate(missingBefore?: ExactPosition): readonly SubscribeAction[] {
    this.#caughtUp = false;
    this.#missingBefore = missingBefore;
    return [{ type: 'locate', time: this.#place.time }];
  }

  #makeLocator({ low, high, byTime }: Extract<SubscribeAnswer, { type: 'bounds' }>): Locator {
    const { position, time, offset } = this.#place;
    return new Locator({
      topic: this.#topic,
      bounds: { low, high },
      stream: this.#stream,
      position,
      known: offset === undefined ? undefined : BigInt(offset),
      byTime: time === undefined ? undefined : (byTime ?? high),
      snapshot: this.#usableSnapshot(),
      primary: this.#primary.record.hello.position,
      missingBefore: this.#missingBefore,
      isForkPassed: this.#isForkPassed,
    });
  }

  #follow(step: LocatorStep, now: number): readonly SubscribeAction[] {
    if (step.kind === 'look') return [this.#look(step)];
    const { surprise, base } = this.#locator!;
    this.#locator = undefined;
    const actions = (step.kind === 'snapshot' || step.kind === 'want' ? this.#ask(step.reason, base) : undefined) ?? this.#go(step, now);
    if (surprise === undefined) return actions;
    return [
      { type: 'report', report: { level: 'warn', event: 'topic-changed', message: surprise, details: { topic: this.#topic } } },
      ...actions,
    ];
  }

  /** Asks the site to take what is missing from elsewhere. While it does, silence in the topic says nothing. */
  #ask(reason: Reason, base: ExactPosition): readonly SubscribeAction[] | undefined {
    const asked = this.#offer.make(this.#place.position, base, this.#primary.record.hello, reason);
    if (asked === undefined) return undefined;
    this.#short = undefined;
    this.#caughtUp = false;
    return asked;
  }

  /** Where a claim may stand before the offset, it is looked for first. */
  #look({ offset, end }: Extract<LocatorStep, { kind: 'look' }>): SubscribeAction {
    const claimsFrom = this.#claims.searchedFrom(offset, this.#locator!.low);
    return claimsFrom === undefined ? { type: 'look', offset, end } : { type: 'look', offset, end, claimsFrom };
  }

  #go(step: Exclude<LocatorStep, { kind: 'look' }>, now: number): readonly SubscribeAction[] {
    this.#short = undefined;
    switch (step.kind) {
      case 'follow':
        return READ;
      case 'await':
        this.#short = step.short;
        this.#shortAt = now + PATIENCE_HEARTBEATS * this.#primary.record.hello.heartbeatMs;
        return [{ type: 'seek', offset: step.offset }, { type: 'read' }];
      case 'snapshot':
        this.#copying = step;
        return [{ type: 'find-snapshot' }];
      case 'want':
        return this.#waitForSnapshot(step.reason);
    }
  }

  #take({ frame, offset, end }: PlacedFrame): readonly SubscribeAction[] {
    if (this.#asked !== undefined) return this.#askedAgain(this.#asked);
    const { base, last, stream } = frame.header;
    if (base.revision > this.#place.position.revision) return this.#again(base);
    this.#short = undefined;
    this.#records.tellWant(null);
    if (this.#place.advance(frame.header, offset)) this.#stream ??= stream;
    this.#marks.reached(last, end);
    return HAND;
  }

  #fetched({ from, next, high }: Extract<SubscribeAnswer, { type: 'fetched' }>, now: number): readonly SubscribeAction[] {
    const moved = next !== from;
    this.#misses = 0;
    this.#caughtUp = next >= high || !moved;
    if (moved) this.#silentGap.fed();
    if (this.#asked !== undefined) return this.#askedAgain(this.#asked);
    const { closing } = this.#primary.record;
    if (closing !== undefined && !moved) this.#emptyFetches += 1;
    if (this.#emptyFetches >= LAST_FETCHES) return this.#closed();
    const snapshot = this.#usableSnapshot();
    const missing = this.#caughtUp ? this.#silentGap.unfed(this.#primary, snapshot, this.#place.position, next) : undefined;
    if (missing !== undefined) return this.#locate(missing);
    if (this.#short !== undefined && snapshot !== undefined) return this.#locate();
    if (this.#short !== undefined && now > this.#shortAt && this.#primaryIsAhead) {
      return this.#ask(this.#short, this.#primary.record.hello.position) ?? this.#waitForSnapshot(this.#short);
    }
    return moved && this.#freshFrom !== undefined && next > this.#freshFrom ? SEEN : READ;
  }

  #askedAgain(after: ExactPosition): readonly SubscribeAction[] {
    this.#asked = undefined;
    this.#isForkPassed ||= after.revision === 0 && this.#place.position.revision > 0;
    this.#place.goBackTo(after);
    return this.#again(undefined);
  }

  /** Frames are missing after the site's position: searches again a few times, then takes a snapshot. */
  #again(base: ExactPosition | undefined): readonly SubscribeAction[] {
    const after = this.#place.position.revision;
    this.#gap = { after, times: this.#gap.after === after ? this.#gap.times + 1 : 1 };
    return this.#locate(this.#gap.times > LOOKS_AGAIN ? (base ?? this.#primary.record.hello.position) : undefined);
  }

  #waitForSnapshot(reason: Reason): readonly SubscribeAction[] {
    this.#tried = this.#snapshot?.id;
    this.#records.tellWant({ after: this.#place.position, reason, tried: this.#tried ?? null });
    this.#caughtUp = true;
    return this.#woken();
  }

  #woken(): readonly SubscribeAction[] {
    if (this.#offer.isOpen) return this.#answered();
    if (this.#asked !== undefined) return this.#askedAgain(this.#asked);
    if (this.#snapshot?.id !== this.#tried) return this.#locate();
    return this.#primary.record.closing === undefined ? WAIT : this.#closed();
  }

  /** The site stands where it says by now: its place is searched again. */
  #answered(): readonly SubscribeAction[] {
    const after = this.#asked;
    if (after === undefined) return WAIT;
    this.#offer.answered();
    this.#asked = undefined;
    this.#place.continueAfter(after);
    return this.#locate();
  }

  /** @param low the first offset that `.snapshot` still has */
  #copy(low: bigint): readonly SubscribeAction[] {
    const copying = this.#copying;
    if (copying === undefined) return this.#locate();
    const { snapshot, reason } = copying;
    if (low > BigInt(snapshot.begin)) {
      this.#spoilt.add(snapshot.id);
      return this.#locate();
    }
    this.#records.tellSite({ state: 'snapshot', reason });
    return [{ type: 'copy', snapshot, reason }];
  }

  #copied(): readonly SubscribeAction[] {
    const copying = this.#copying;
    if (copying === undefined) return this.#locate();
    const { header, follow } = copying.snapshot;
    this.#copying = undefined;
    this.#isForkPassed = false;
    this.#records.tellSite({ state: 'replicate', reason: null });
    this.#records.tellWant(null);
    this.#place.moveTo(header.position, header.time);
    this.#stream = header.stream;
    this.#marks.reached(header.position, String(BigInt(follow) - 1n));
    return [{ type: 'seek', offset: BigInt(follow) }, { type: 'read' }];
  }

  /** The site has begun the snapshot, and no message takes its beginning back: the next link begins anew. */
  #endSpoilt(why: string): readonly SubscribeAction[] {
    if (this.#copying !== undefined) this.#spoilt.add(this.#copying.snapshot.id);
    return [{ type: 'end', reason: 'lost', explanation: why, byPeer: false }];
  }

  /** The primary has closed, and everything that it wrote is handed up. */
  #closed(): readonly SubscribeAction[] {
    const { reason, explanation } = this.#primary.record.closing ?? { reason: 'lost', explanation: '' };
    return [{ type: 'end', reason, explanation, byPeer: true }];
  }

  #usableSnapshot(): SnapshotRecord | undefined {
    const snapshot = this.#snapshot;
    if (snapshot === undefined || this.#spoilt.has(snapshot.id)) return undefined;
    return this.table.isSuperseded(snapshot.header.position) ? undefined : snapshot;
  }

  get #primaryIsAhead(): boolean {
    return this.#primary.record.hello.position.revision > this.#place.position.revision;
  }
}
