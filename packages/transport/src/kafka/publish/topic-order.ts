import { explainFence } from '@evertree/core';
import type { CloseReason, ExactPosition, FrameHeader, Hello } from '@evertree/core';
import type { ControlNews } from './control-topic.ts';
import type { ReceivedRecord } from '../records.ts';
import type { ReadRange } from './actions.ts';
import type { Announcement } from './announcement.ts';
import { ForeignRecords } from './foreign-records.ts';
import type { LinkMemory } from './link-memory.ts';
import type { PublisherSettings } from './settings.ts';
import { FrameScan, tellTail } from './tail.ts';
import type { TailSearch } from './tail.ts';
import { TopicReign } from './topic-reign.ts';

/** Why a link can't go on, from what stands in the topic. `byPeer`: another site leads there. */
export interface OrderBreak {
  readonly reason: CloseReason;
  readonly explanation: string;
  readonly byPeer: boolean;
}

/** What came of a range between our records that was read. */
export interface BetweenFound {
  /** Set: the link is over. */
  readonly ends: OrderBreak | undefined;
  /** What the topic has for certain by now, and had not before. */
  readonly settled: ExactPosition | undefined;
}

/**
 * What stands in the topic in which order: where it ends, who leads there, and what others put between and behind our
 * records. Pure but for its reports.
 */
export class TopicOrder {
  readonly reign: TopicReign;
  readonly #settings: PublisherSettings;
  readonly #memory: LinkMemory;
  readonly #search: TailSearch;
  readonly #announcement: Announcement;
  readonly #foreign: ForeignRecords;
  /** Of the records that came while nothing was sent. */
  readonly #watched: FrameScan;
  /** Ranges between our records that are being read. */
  #reads = 0;
  /** The newest position that was stored behind the first of them. */
  #unsettled: ExactPosition | undefined;

  constructor(settings: PublisherSettings, memory: LinkMemory, search: TailSearch, announcement: Announcement) {
    this.#settings = settings;
    this.#memory = memory;
    this.#search = search;
    this.#announcement = announcement;
    this.reign = new TopicReign(settings, memory, search.claims, announcement);
    this.#foreign = new ForeignRecords(settings.topic, memory, search.claims, ({ last }) => !announcement.isSuperseded(last));
    this.#watched = new FrameScan(search.claims);
  }

  /** @returns the frame that the topic ends with; `read`: the search's present step is to be read first */
  findEnd(): FrameHeader | 'read' | undefined {
    const { stream } = this.#announcement.hello;
    // A primary without a commit has no stream: any frame belongs to another one.
    const last = this.#search.of(stream).last ?? (stream === null ? this.#search.any : undefined);
    // A promotion left behind what the topic ends with: this primary goes on from the end of its own history there.
    const isOutnumbered = this.reign.standing === 'outnumbered';
    const counts = ({ last: end }: FrameHeader) => (isOutnumbered ? this.#announcement.covers(end) : !this.#announcement.isSuperseded(end));
    if (last !== undefined && !counts(last) && this.#search.limit(counts)) return 'read';
    if (last === undefined && this.#search.stepBack()) return 'read';
    return last ?? this.#search.any;
  }

  /** Reports what stands at the topic's end beside frames of this stream. */
  tellEnd(): void {
    tellTail(this.#search.of(this.#announcement.hello.stream), this.#settings, this.#memory);
    this.reign.tellVoid(this.#search.void);
  }

  /**
   * Another writer's records stand between ours.
   * @returns whether they are to be read; else they are too many, and count as frames
   */
  between(from: bigint, to: bigint): boolean {
    if (!ForeignRecords.areFew(from, to)) {
      this.#foreign.tell(from, to, true);
      return false;
    }
    this.#reads += 1;
    return true;
  }

  /** Takes records of such a range. @param done they are the last ones */
  read(range: ReadRange, records: readonly ReceivedRecord[], done: boolean): BetweenFound {
    const hasFrames = this.#foreign.take(range, records, done);
    if (!done) return { ends: undefined, settled: undefined };
    this.reign.tellVoid(this.#foreign.void.splice(0));
    const ends = this.outranked ?? (hasFrames ? this.foreignFrames : undefined);
    this.#reads -= 1;
    const settled = this.#reads === 0 && ends === undefined ? this.#unsettled : undefined;
    if (settled !== undefined) this.#unsettled = undefined;
    return { ends, settled };
  }

  /** The topic has all up to here. @returns whether that is settled: perhaps somebody claimed an epoch before it */
  settles(position: ExactPosition): boolean {
    if (this.#reads > 0) this.#unsettled = position;
    return this.#reads === 0;
  }

  /** Records came while this end wrote none. @returns why the link is over by them */
  watch(records: readonly ReceivedRecord[]): OrderBreak | undefined {
    for (const record of records) this.#watched.take(record);
    this.reign.tellVoid(this.#watched.void.splice(0));
    return this.outranked;
  }

  /** Another site's reign stands in the topic before what this primary writes. After a handover that is as it should be. */
  get outranked(): OrderBreak | undefined {
    if (this.#announcement.isEnded) return undefined;
    const { fence, standing, isOutnumbered } = this.reign;
    if (fence !== undefined) return { reason: 'fenced', explanation: this.reign.explain(fence), byPeer: true };
    if (standing !== 'outnumbered' || isOutnumbered) return undefined;
    return { reason: 'lost', explanation: `another site of this epoch stands in the topic ${this.#settings.topic}`, byPeer: false };
  }

  /** A primary announces itself in `.control`; it may outrank this one. */
  brokenByPrimary(hello: Hello): OrderBreak | undefined {
    const explanation = this.#announcement.outrankedBy(hello, this.#settings.topics.control);
    return explanation === undefined ? undefined : { reason: 'fenced', explanation, byPeer: true };
  }

  /** What `.control` tells of claims, and of the topic's stream. */
  brokenBy({ claim, stream }: Pick<ControlNews, 'claim' | 'stream'>): OrderBreak | undefined {
    if (claim === undefined) return this.#brokenByStream(stream);
    const { site, epoch } = claim;
    const explanation = explainFence({ ...epoch, begun: false }, `${site} claims it in ${this.#settings.topics.control}`);
    return { reason: 'fenced', explanation, byPeer: true };
  }

  /** An empty primary never leads a topic that a stream was written to, even if nothing of it is left there. */
  #brokenByStream(stream: string | undefined): OrderBreak | undefined {
    if (stream === undefined || this.#announcement.hello.stream !== null) return undefined;
    const { site, topic, topics, farEnd } = this.#settings;
    const explanation =
      `${site} is empty, and ${topics.control} tells of the stream ${stream}, which was written to the topic ${topic}: it takes no writes. ` +
      `If ${site} lost its data, promote a secondary that reads there. If that stream may go, ${farEnd.remedy}; then start ${site} again`;
    return { reason: 'fenced', explanation, byPeer: true };
  }

  get foreignFrames(): OrderBreak {
    const explanation = `another writer put frames into the topic ${this.#settings.topic}; its end is read again`;
    return { reason: 'lost', explanation, byPeer: false };
  }
}
