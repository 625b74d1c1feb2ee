import { isEvertreeError } from '@evertree/core';
import type { Hello, Message } from '@evertree/core';
import type { Watermarks } from '../broker.ts';
import { decodeControl } from '../control.ts';
import type { AnnouncedClaim, PlacedReign, SnapshotRecord } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import type { LinkMemory } from './link-memory.ts';
import { Secondaries } from './secondaries.ts';
import type { OtherRecord } from './secondaries.ts';
import type { PublisherSettings } from './settings.ts';
import type { Want } from './snapshot-need.ts';

/**
 * Least pause between two fetches that bring something: one fetch then brings the acknowledgements of many secondaries.
 * It is as long as the pause between two acknowledgements of one secondary, so that many secondaries cost no more
 * fetches than one.
 */
const GATHER_MS = 20;
/** How long a fetch waits at the broker. */
const WAIT_MS = 500;
/** The wait of a fetch for records that are there already. */
const NO_WAIT_MS = 1;

/** How the key of an announced claim begins. */
const CLAIM_KEY = 'claim/';

/** Another site that announces itself as the primary. `isLive`: since this link began. */
export interface Rival {
  readonly hello: Hello;
  readonly from: string;
  readonly isLive: boolean;
}

/** What a fetch of the control topic brought. */
export interface ControlNews {
  /** For the producer, in order. */
  readonly messages: readonly Message[];
  readonly snapshots: readonly { readonly record: SnapshotRecord; readonly time: number }[];
  /** Other sites that announce themselves as primaries, at whatever time; what they say when they close does not count. */
  readonly rivals: readonly Rival[];
  /** What this site's own record said of its reign in the topic, in its life before. */
  readonly ownReign: PlacedReign | undefined;
  /** The stream of a primary that announced itself there before this link began, this site in its life before among them. */
  readonly stream: string | undefined;
  /** Another site claims an epoch that outranks this primary's. Nothing behind it was taken. */
  readonly claim: AnnouncedClaim | undefined;
  /** Fresh records came, and a secondary that is present waits for a snapshot. */
  readonly wants: boolean;
}

/**
 * The control topic as a primary reads it: from its beginning, for as long as the link lives. Records from before the
 * link began say where a site stood, but not that it is present. Pure but for its reports; `now` is the caller's,
 * milliseconds on the monotonic clock.
 */
export class ControlTopic {
  readonly #settings: PublisherSettings;
  readonly #memory: LinkMemory;
  readonly #secondaries: Secondaries;
  /** Where the topic ended when this link began. */
  readonly #high: bigint;
  #offset: bigint;
  /** All records from before the link began have been taken and handed to the producer. */
  #isHistoryTold = false;
  /** When the next fetch may begin; Infinity before `start`, and while one is under way. */
  #fetchAt = Infinity;
  /** When the fetch under way began. */
  #beganAt = 0;
  /** All records written before this time have been taken. */
  #asOf: number;

  /** @param ends of the control topic when the link began */
  constructor(settings: PublisherSettings, memory: LinkMemory, { low, high }: Watermarks, now: number) {
    this.#settings = settings;
    this.#memory = memory;
    this.#secondaries = new Secondaries(settings.topics.control, settings.site, memory.once, settings.report);
    this.#high = high;
    this.#offset = low;
    this.#asOf = now;
  }

  get fetchAt(): number {
    return this.#fetchAt;
  }

  /** All records from before the link began have been handed up. */
  get isHistoryTold(): boolean {
    return this.#isHistoryTold;
  }

  get wants(): Want[] {
    return this.#secondaries.wants;
  }

  /** The producer has taken the topic's hello: it may be told of the secondaries. */
  start(now: number): Message[] {
    this.#fetchAt = now;
    return this.#news();
  }

  /** Begins a fetch: where, and how long it waits for something to come. */
  fetch(now: number): { readonly from: bigint; readonly waitMs: number } {
    const waitMs = this.#isHistoryTold ? Math.min(WAIT_MS, this.#settings.limits.heartbeatMs) : NO_WAIT_MS;
    this.#fetchAt = Infinity;
    this.#beganAt = now;
    return { from: this.#offset, waitMs };
  }

  /**
   * Ends a fetch.
   * @param next where the next one begins.
   * @param outranks whether a claim ends this primary's reign
   */
  fetched(fetched: readonly ReceivedRecord[], next: bigint, now: number, outranks: (claim: AnnouncedClaim) => boolean): ControlNews {
    const { records, claim } = upToClaim(fetched, outranks);
    this.#fetchAt = records.length > 0 && this.#isHistoryTold ? now + GATHER_MS : now;
    this.#asOf = this.#beganAt;
    this.#offset = next;
    const first = records.findIndex(({ offset }) => BigInt(offset) >= this.#high);
    const live = first < 0 ? [] : records.slice(first);
    const past = this.#secondaries.take(first < 0 ? records : records.slice(0, first), false, now);
    const fresh = live.length === 0 ? [] : this.#secondaries.take(live, true, now);
    const snapshots = [...past, ...fresh].flatMap(({ control, time }) =>
      control.kind === 'snapshot' ? { record: control.value, time } : [],
    );
    const rivals = [...past.flatMap(other => this.#rival(other, false)), ...fresh.flatMap(other => this.#rival(other, true))];
    const ownReign = past.map(other => this.#ownReign(other)).findLast(reign => reign !== undefined);
    const stream = past.map(streamIn).findLast(each => each !== undefined);
    return { messages: this.#news(), snapshots, rivals, ownReign, stream, claim, wants: live.length > 0 && this.wants.length > 0 };
  }

  /** Finds the secondaries that have fallen silent. */
  lapse(): Message[] {
    this.#secondaries.lapse(this.#asOf);
    return this.#news();
  }

  forget(site: string): void {
    this.#secondaries.forget(site);
  }

  #news(): Message[] {
    if (this.#offset < this.#high) return [];
    const history = this.#isHistoryTold ? [] : this.#secondaries.known();
    this.#isHistoryTold = true;
    return [...history, ...this.#secondaries.news()];
  }

  #ownReign({ control }: OtherRecord): PlacedReign | undefined {
    return control.kind === 'primary' && control.value.hello.site === this.#settings.site ? control.value.claim : undefined;
  }

  #rival({ control, from }: OtherRecord, isLive: boolean): Rival[] {
    if (control.kind !== 'primary' || control.value.closing !== undefined || this.#memory.isOwn(from)) return [];
    const { hello } = control.value;
    // What this site said itself, in its life before or as a copy of it, is not another's unless it goes on.
    return hello.site === this.#settings.site && !isLive ? [] : [{ hello, from, isLive }];
  }

  /** Another primary, of this one's epoch or a lower one. */
  tellSecondPrimary({ hello, from }: Rival): void {
    const { topics, site } = this.#settings;
    const { site: other, position } = hello;
    this.#memory.once.tell(`primary ${from}`, {
      level: 'warn',
      event: 'second-primary',
      message:
        `${other} announces itself in ${topics.control} as a primary, and so does this site, ${site}: ` +
        'a topic belongs to one primary, stop the other',
      details: { site: other, position },
    });
  }
}

function streamIn({ control }: OtherRecord): string | undefined {
  return control.kind === 'primary' ? (control.value.hello.stream ?? undefined) : undefined;
}

/** The records before the first claim that ends a reign: an acknowledgement behind it does not count. */
function upToClaim(records: readonly ReceivedRecord[], ends: (claim: AnnouncedClaim) => boolean) {
  for (const [index, record] of records.entries()) {
    const claim = claimIn(record);
    if (claim !== undefined && ends(claim)) return { records: records.slice(0, index), claim };
  }
  return { records, claim: undefined };
}

function claimIn(record: ReceivedRecord): AnnouncedClaim | undefined {
  if (record.key?.toString('latin1', 0, CLAIM_KEY.length) !== CLAIM_KEY) return undefined;
  try {
    const { control } = decodeControl(record);
    return control.kind === 'claim' ? (control.value ?? undefined) : undefined;
  } catch (error) {
    // It is reported where the records are taken.
    if (!isEvertreeError(error)) throw error;
    return undefined;
  }
}
