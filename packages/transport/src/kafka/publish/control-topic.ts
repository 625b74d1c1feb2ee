import type { Hello, Message } from '@evertree/core';
import type { Watermarks } from '../broker.ts';
import type { SnapshotRecord } from '../control.ts';
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

/** What a fetch of the control topic brought. */
export interface ControlNews {
  /** For the producer, in order. */
  readonly messages: readonly Message[];
  readonly snapshots: readonly { readonly record: SnapshotRecord; readonly time: number }[];
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
    this.#secondaries = new Secondaries(settings.topics.control, memory.once, settings.report);
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

  /** Ends a fetch. @param next where the next one begins */
  fetched(records: readonly ReceivedRecord[], next: bigint, now: number): ControlNews {
    this.#fetchAt = records.length > 0 && this.#isHistoryTold ? now + GATHER_MS : now;
    this.#asOf = this.#beganAt;
    this.#offset = next;
    const first = records.findIndex(({ offset }) => BigInt(offset) >= this.#high);
    const live = first < 0 ? [] : records.slice(first);
    const others = this.#secondaries.take(first < 0 ? records : records.slice(0, first), false, now);
    if (live.length > 0) {
      const fresh = this.#secondaries.take(live, true, now);
      for (const other of fresh) this.#tellSecondPrimary(other);
      others.push(...fresh);
    }
    const snapshots = others.flatMap(({ control, time }) => (control.kind === 'snapshot' ? { record: control.value, time } : []));
    return { messages: this.#news(), snapshots, wants: live.length > 0 && this.wants.length > 0 };
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

  #tellSecondPrimary({ control, from }: OtherRecord): void {
    if (control.kind !== 'primary' || control.value.closing !== undefined || this.#memory.isOwn(from)) return;
    const { topics, site } = this.#settings;
    const { site: other, position }: Hello = control.value.hello;
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
