import { readFrameHeader } from '@evertree/core';
import type { FrameHeader, Reason } from '@evertree/core';
import type { Watermarks } from '../broker.ts';
import type { SnapshotRecord } from '../control.ts';
import type { PublishAction } from './actions.ts';
import type { ReceivedRecord } from '../records.ts';
import type { LinkMemory } from './link-memory.ts';
import type { PublisherSettings } from './settings.ts';
import { snapshotNeed } from './snapshot-need.ts';
import type { Want } from './snapshot-need.ts';
import type { TopicFacts } from './topic-setup.ts';

/** What is known elsewhere when it is judged whether a snapshot is due. */
export interface Surroundings {
  /** This primary's stream, as far as it has one. */
  readonly stream: string | null;
  readonly wants: readonly Want[];
  /** A snapshot is under way. */
  readonly isBusy: boolean;
}

interface Announced {
  readonly record: SnapshotRecord;
  /** When it was announced, milliseconds since 1970. */
  readonly time: number;
}

/** A snapshot that was asked for has begun by then, or is asked for again when it is still due. */
const ASKED_MS = 60_000;
/**
 * After a snapshot no other one is asked for during so many times the time that it took, and until the next look at the
 * watermarks: a snapshot that no secondary can use leads to the next one, and this bounds the time spent on them.
 */
const REST_FACTOR = 10;

/**
 * When a snapshot is due beside the frames: looks at what the topic still holds, and asks for one at a time. Pure but
 * for its reports; `now` is the caller's, milliseconds on the monotonic clock.
 */
export class TopicSnapshots {
  readonly #settings: PublisherSettings;
  readonly #facts: TopicFacts;
  readonly #memory: LinkMemory;
  #newest: Announced | undefined;
  /** As of the last look. `time`: milliseconds since 1970. */
  #watermarks: (Watermarks & { readonly time: number }) | undefined;
  /** What the topic begins with; holds as long as it begins at `low`. */
  #beginning: { readonly low: bigint; readonly first: FrameHeader | undefined } | undefined;
  /** When to look again; Infinity before `start`, and while a look is under way. */
  #lookAt = Infinity;
  #isStarted = false;
  /** The offset before which the topic's records were when the look began. */
  #expected: bigint | undefined;
  /** The request that no snapshot has answered yet. */
  #asked: { readonly id: number; readonly until: number } | undefined;
  #lastId = 0;
  /** When the snapshot under way began, and when the next one may. */
  #begunAt = 0;
  #restsUntil = -Infinity;
  /** Records at the topic's end that this link has read, and those that it has written: they give the average size. */
  #seenRecords = 0;
  #seenBytes = 0;

  constructor(settings: PublisherSettings, facts: TopicFacts, memory: LinkMemory) {
    this.#settings = settings;
    this.#facts = facts;
    this.#memory = memory;
  }

  get lookAt(): number {
    return this.#lookAt;
  }

  /** A record was read at the topic's end, or is written; each once. */
  count(value: Uint8Array | null): void {
    this.#seenRecords += 1;
    this.#seenBytes += value?.length ?? 0;
  }

  /** The control topic has told of a snapshot. @param time milliseconds since 1970 */
  announced(record: SnapshotRecord, time: number): void {
    if (this.#newest === undefined || time >= this.#newest.time) this.#newest = { record, time };
  }

  /** The control topic has been read up to where it ended when the link began. Idempotent. */
  start(now: number): void {
    if (!this.#isStarted) this.#lookAt = now + this.#settings.limits.watermarksMs;
    this.#isStarted = true;
  }

  /** Begins a look, unless one is under way. @param next where the topic's records end */
  look(next: bigint): readonly PublishAction[] {
    if (this.#expected !== undefined) return [];
    this.#expected = next;
    this.#lookAt = Infinity;
    return [{ type: 'ask-watermarks' }];
  }

  /**
   * The watermarks are known.
   * @param time milliseconds since 1970
   * @returns the offset that the topic should reach, if it does not: it was cut short, or made anew
   */
  saw({ low, high }: Watermarks, time: number): bigint | undefined {
    if (this.#expected !== undefined && high < this.#expected) return this.#expected;
    this.#watermarks = { low, high, time };
    return undefined;
  }

  /** Goes on with a look: reads what the topic begins with, if that matters and is not known, or ends it. */
  proceed(surroundings: Surroundings, now: number): readonly PublishAction[] {
    const low = this.#unknownBeginning(surroundings.stream);
    return low === undefined ? this.#judge(surroundings, now) : [{ type: 'read', task: 'beginning', from: low, to: low + 1n }];
  }

  sawBeginning(records: readonly ReceivedRecord[], surroundings: Surroundings, now: number): readonly PublishAction[] {
    if (this.#watermarks !== undefined) this.#beginning = { low: this.#watermarks.low, first: firstHeader(records) };
    return this.#judge(surroundings, now);
  }

  /** A snapshot begins. @param request the id of the request that it answers */
  begun(request: number | undefined, now: number): void {
    if (request !== undefined && request === this.#asked?.id) this.#asked = undefined;
    this.#begunAt = now;
  }

  /**
   * A snapshot of this link is whole, and announced.
   * @param time milliseconds since 1970
   * @returns the offset before which old snapshots may go: the newest two stay, as a secondary may be reading one
   */
  finished(record: SnapshotRecord, now: number, time: number): bigint {
    const { topics, limits, report } = this.#settings;
    const begin = BigInt(record.begin);
    const before = BigInt(this.#newest?.record.begin ?? begin);
    this.#restsUntil = now + Math.max(limits.watermarksMs, (now - this.#begunAt) * REST_FACTOR);
    this.announced(record, time);
    report({
      level: 'info',
      event: 'topic-snapshot',
      message: `a snapshot of ${record.bytes} bytes is in ${topics.snapshots}`,
      details: { topic: topics.snapshots, position: record.header.position, bytes: record.bytes },
    });
    // One that lies behind this one was in a snapshot topic that was deleted since: its offset says nothing of this topic.
    return before < begin ? before : begin;
  }

  /** Old snapshots could not be deleted. */
  tellKept(why: string): void {
    const message = `old snapshots stay in ${this.#settings.topics.snapshots}: ${why}`;
    this.#memory.once.tell('delete', { level: 'warn', event: 'snapshots-kept', message });
  }

  /** Without a snapshot it matters what the topic begins with. @returns the offset to be read for that, if it is not known yet */
  #unknownBeginning(stream: string | null): bigint | undefined {
    if (this.#watermarks === undefined || this.#fitting(stream) !== undefined) return undefined;
    const { low, high } = this.#watermarks;
    return low === high || this.#beginning?.low === low ? undefined : low;
  }

  /** Ends a look, and asks for a snapshot if one is due. */
  #judge(surroundings: Surroundings, now: number): readonly PublishAction[] {
    this.#expected = undefined;
    this.#lookAt = now + this.#settings.limits.watermarksMs;
    const isAsked = this.#asked !== undefined && now < this.#asked.until;
    if (surroundings.isBusy || isAsked || now < this.#restsUntil || this.#watermarks === undefined) return [];
    const reason = this.#need(surroundings, this.#watermarks);
    if (reason === undefined) return [];
    this.#lastId += 1;
    this.#asked = { id: this.#lastId, until: now + ASKED_MS };
    return [{ type: 'hand', message: { type: 'snapshot-wanted', id: this.#lastId, reason } }];
  }

  #need({ stream, wants }: Surroundings, { low, high, time }: Watermarks & { readonly time: number }): Reason | undefined {
    const newest = this.#fitting(stream);
    const first = this.#beginning?.low === low ? this.#beginning.first : undefined;
    return snapshotNeed({
      ...this.#facts,
      wants,
      foreignTo: this.#memory.foreignTo,
      snapshotBytes: this.#settings.limits.snapshotBytes,
      low,
      high,
      recordBytes: this.#seenRecords === 0 ? 0 : this.#seenBytes / this.#seenRecords,
      now: time,
      newest: newest && {
        ...newest.record,
        position: newest.record.header.position,
        follow: BigInt(newest.record.follow),
        time: newest.time,
      },
      whole: first?.base.revision === 0,
      lowTime: first?.lastTime,
    });
  }

  #fitting(stream: string | null): Announced | undefined {
    return this.#newest?.record.header.stream === stream ? this.#newest : undefined;
  }
}

/** The first frame that begins in these records. */
function firstHeader(records: readonly ReceivedRecord[]): FrameHeader | undefined {
  for (const { value } of records) {
    try {
      if (value !== null) return readFrameHeader(value);
    } catch {
      // A later part, or no frame: looks at the next record.
    }
  }
  return undefined;
}
