import { explainFence } from '@evertree/core';
import type { EpochName, Fencing, Message } from '@evertree/core';
import type { Claim } from '../claims/claim.ts';
import { standingInTopic } from '../claims/topic-claims.ts';
import type { TopicClaims, WriterStanding } from '../claims/topic-claims.ts';
import type { AnnouncedClaim, PlacedReign } from '../control.ts';
import type { Announcement } from './announcement.ts';
import type { LinkMemory } from './link-memory.ts';
import type { PublisherSettings } from './settings.ts';
import type { StreamClaims } from './tail.ts';
import type { StoredFrames } from './topic-outbox.ts';

/**
 * What this primary's reign is in the topic, from what its link reads there: PROTOCOL.md, «Claims». Pure but for its
 * reports.
 */
export class TopicReign {
  readonly #settings: PublisherSettings;
  readonly #memory: LinkMemory;
  readonly #claims: StreamClaims;
  readonly #announcement: Announcement;
  /** How the reign stood when the topic's end was found. */
  #found: WriterStanding = 'unclaimed';
  /** Where the topic had a record of this reign before this link began, as this process or `.control` knows. */
  #before: PlacedReign | undefined;
  /** A higher epoch was asked for: once in each link. */
  #isAsked = false;

  constructor(settings: PublisherSettings, memory: LinkMemory, claims: StreamClaims, announcement: Announcement) {
    this.#settings = settings;
    this.#memory = memory;
    this.#claims = claims;
    this.#announcement = announcement;
  }

  get standing(): WriterStanding {
    return standingInTopic(this.#announcement.reign, this.#inStream?.leading);
  }

  /** The reign that leads in the topic instead of this primary's, and outranks it. */
  get fence(): Fencing | undefined {
    const leading = this.#inStream?.leading;
    return leading === undefined || this.standing !== 'fenced'
      ? undefined
      : { number: leading.number, id: leading.id, begun: leading.isBegun };
  }

  /** For a link that ends because of it: the fence as its explanation. */
  explain(fence: Fencing): string {
    return explainFence(fence, `epoch ${fence.number} (${fence.id}) leads in the topic ${this.#settings.topic}`);
  }

  /** Whether a claim that was announced in `.control` ends this reign, wherever it comes to stand. */
  isEndedBy({ stream, epoch }: AnnouncedClaim): boolean {
    return stream === this.#announcement.hello.stream && epoch.number > this.#announcement.reign.number;
  }

  /** Where the topic has the first record of this reign that is known. */
  get placed(): PlacedReign | undefined {
    const { reign } = this.#memory;
    return reign !== undefined && isSame(reign, this.#announcement.reign) ? reign : undefined;
  }

  /** The topic's end was found, and the topic has said hello. @returns what the producer is to be told */
  begin(): Message | undefined {
    this.#found = this.standing;
    this.#before = this.placed;
    const from = this.#inStream?.leading?.offset;
    if (this.#found === 'leads' && from !== undefined) this.#lead(this.#announcement.reign, from);
    if (this.#found !== 'outnumbered') return undefined;
    const { number, id } = this.#inStream!.leading!;
    const why =
      `another site has begun epoch ${number} (${id}), too, and stands in the topic ${this.#settings.topic} before this one: ` +
      'this site goes on in a higher epoch';
    return this.#ask(why, { number, id });
  }

  /** Whether nothing may be written before a higher epoch begins. */
  get isOutnumbered(): boolean {
    return this.#found === 'outnumbered';
  }

  /**
   * `.control` was read further, and tells of no reign that outranks this one.
   * @param told the last reign of this site in its life before, as its own record there tells
   * @param isAll all records from before this link began were read
   * @returns what the producer is to be told, if the topic has lost this reign
   */
  recall(told: PlacedReign | undefined, isAll: boolean): Message | undefined {
    if (told !== undefined && isSame(told, this.#announcement.reign)) this.#before ??= told;
    const reign = this.#before;
    if (reign === undefined || this.#found !== 'unclaimed' || !isAll) return undefined;
    const why =
      `the topic ${this.#settings.topic} holds no record any more of epoch ${reign.number} (${reign.id}), which had led there from offset ` +
      `${reign.offset} on: retention removed it, or the topic lost it or was made anew. This site goes on in a higher epoch`;
    return this.#ask(why);
  }

  /** The broker has the first record that this link wrote under a reign. */
  stored({ offset, reign }: NonNullable<StoredFrames['first']>): void {
    this.#lead(reign, offset);
  }

  /** Claims that another site made, and that do not stand. */
  tellVoid(claims: readonly Claim[]): void {
    const { topic, site } = this.#settings;
    for (const { site: other, epoch } of claims) {
      if (other === site) continue;
      this.#memory.once.tell(`void ${epoch.id}`, {
        level: 'warn',
        event: 'claim-void',
        message: `${other} claimed epoch ${epoch.number} (${epoch.id}) in the topic ${topic}, which does not stand: it is not above what came before it there`,
        details: { site: other, epoch },
      });
    }
  }

  #ask(explanation: string, rival?: EpochName): Message | undefined {
    if (this.#isAsked) return undefined;
    this.#isAsked = true;
    return { type: 'reign-void', above: this.#announcement.reign.number, ...(rival === undefined ? {} : { rival }), explanation };
  }

  #lead({ number, id }: EpochName, offset: bigint): void {
    this.#inStream?.takeClaim(offset, { number, id });
    if (this.placed === undefined) this.#memory.reign = { number, id, offset: String(offset) };
  }

  get #inStream(): TopicClaims | undefined {
    const { stream } = this.#announcement.hello;
    return stream === null ? undefined : this.#claims.of(stream);
  }
}

function isSame(a: EpochName, b: EpochName): boolean {
  return a.number === b.number && a.id === b.id;
}
