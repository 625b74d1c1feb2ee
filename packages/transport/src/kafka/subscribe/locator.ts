import { formatPosition, samePosition } from '@evertree/core';
import type { ExactPosition, FrameHeader, Reason } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import type { Watermarks } from '../broker.ts';

/** What is known when a site's place in a topic is looked for. */
export interface Situation {
  readonly topic: string;
  readonly bounds: Watermarks;
  /** Null where the site holds nothing yet. */
  readonly stream: string | null;
  readonly position: ExactPosition;
  /** The record at which the site's last frame stood, if it came from this topic. */
  readonly known: bigint | undefined;
  /**
   * The first record that is not older than the site's last frame; `bounds.high` where all are older. Undefined where
   * the time of that frame is not known.
   */
  readonly byTime: bigint | undefined;
  /** The newest whole snapshot, if it is still there and was not found spoilt. */
  readonly snapshot: SnapshotRecord | undefined;
  /** The position that the primary told last. */
  readonly primary: ExactPosition;
  /** Frames are missing in the topic before this position, and another search did not find them. */
  readonly missingBefore?: ExactPosition | undefined;
  /** The site can't go back to where its history parts from the primary's: no frame helps it, only a whole tree. */
  readonly isForkPassed?: boolean;
}

export type LocatorStep =
  /** Read from `offset` to `end`, and tell what the first frame says. */
  | { readonly kind: 'look'; readonly offset: bigint; readonly end: bigint }
  /** The frame looked at, and what follows it. */
  | { readonly kind: 'follow' }
  /**
   * The topic holds nothing that follows the site's position: read what comes next. `short` is set where the primary is
   * ahead of the topic, so that perhaps nothing will come: the reason to ask for a snapshot then.
   */
  | { readonly kind: 'await'; readonly offset: bigint; readonly short: Reason | undefined }
  | { readonly kind: 'snapshot'; readonly snapshot: SnapshotRecord; readonly reason: Reason }
  /** Only a snapshot that is not there yet leads on. */
  | { readonly kind: 'want'; readonly reason: Reason };

interface Candidate {
  readonly origin: 'known' | 'time' | 'tail' | 'beginning';
  readonly offset: bigint;
}

/** How far before the topic's end a search begins, in records: more than the largest frame has parts. */
const TAIL_RECORDS = 2048n;

/**
 * Finds a site's place in a topic: PROTOCOL.md, «A secondary». Offsets only say where to look. What the frame there
 * says decides. Pure: the caller reads.
 */
export class Locator {
  readonly #situation: Situation;
  readonly #candidates: Candidate[];
  /** What the topic's first frame follows, once it was looked at. */
  #beginsAfter: ExactPosition | undefined;
  #looking: Candidate | undefined;
  #surprise: string | undefined;

  constructor(situation: Situation) {
    this.#situation = situation;
    const { missingBefore, isForkPassed = false } = situation;
    this.#candidates = missingBefore === undefined && !isForkPassed && !this.#prefersSnapshot ? candidates(situation) : [];
  }

  /** The topic's first offset when the search began. */
  get low(): bigint {
    return this.#situation.bounds.low;
  }

  /** What stands where the site's last frame had stood; undefined unless a look found something else there. */
  get surprise(): string | undefined {
    return this.#surprise;
  }

  /** What the topic goes on after, as far as is known. */
  get base(): ExactPosition {
    return this.#situation.missingBefore ?? this.#beginsAfter ?? this.#situation.primary;
  }

  first(): LocatorStep {
    return this.#next();
  }

  /** @param header of the first frame at the offset of the look; undefined when none is there up to the topic's end */
  judge(header: FrameHeader | undefined): LocatorStep {
    const { position, topic, bounds } = this.#situation;
    if (this.#looking?.origin === 'known' && (header === undefined || !samePosition(header.last, position))) {
      const found = header === undefined ? 'nothing' : `the frame that ends at ${formatPosition(header.last)}`;
      this.#surprise = `${topic} holds ${found} where the frame that ends at ${formatPosition(position)} stood: it was made anew, or its offsets were reset`;
    }
    if (header !== undefined && header.base.revision <= position.revision) return { kind: 'follow' };
    if (this.#looking?.offset === bounds.low) this.#beginsAfter = header?.base;
    return this.#next();
  }

  get #prefersSnapshot(): boolean {
    const { position, stream } = this.#situation;
    return (stream === null || position.revision === 0) && this.#usable !== undefined;
  }

  /** Retention did not take the site's last frame: something else stands there, or the topic ends before. */
  get #isAnew(): boolean {
    const { known, bounds } = this.#situation;
    return this.#surprise !== undefined || (known !== undefined && known >= bounds.high);
  }

  get #usable(): SnapshotRecord | undefined {
    const { snapshot, stream, position, bounds, primary, isForkPassed } = this.#situation;
    if (snapshot === undefined || (stream !== null && snapshot.header.stream !== stream)) return undefined;
    // The site gives its history up for the primary's epoch, and for none before.
    if (isForkPassed && snapshot.header.position.epoch < primary.epoch) return undefined;
    const follow = BigInt(snapshot.follow);
    // What the topic lost behind it was none of the primary's, if the primary is no further.
    const isWhole = follow >= bounds.low || primary.revision <= snapshot.header.position.revision;
    const leadsOn = isWhole && follow <= bounds.high;
    return leadsOn && snapshot.header.position.revision >= position.revision ? snapshot : undefined;
  }

  #next(): LocatorStep {
    const candidate = this.#candidates.shift();
    this.#looking = candidate;
    if (candidate !== undefined) return { kind: 'look', offset: candidate.offset, end: this.#situation.bounds.high };
    const reason = this.#reason();
    if (reason === undefined) return { kind: 'await', offset: this.#situation.bounds.high, short: undefined };
    const snapshot = this.#usable;
    if (snapshot !== undefined) return { kind: 'snapshot', snapshot, reason };
    const { missingBefore, isForkPassed = false } = this.#situation;
    const nothingThere = this.#beginsAfter === undefined && missingBefore === undefined && !isForkPassed;
    // The primary may be about to fill the topic: a short wait may save a snapshot.
    return nothingThere ? { kind: 'await', offset: this.#situation.bounds.high, short: reason } : { kind: 'want', reason };
  }

  /** Why only a snapshot helps; undefined when nothing is missing. */
  #reason(): Reason | undefined {
    const { topic, position, primary, missingBefore, stream, isForkPassed } = this.#situation;
    const here = formatPosition(position);
    if (isForkPassed) return { code: 'fork-passed', text: "it can't go back to the fork: its journal does not reach back to it" };
    if (this.#prefersSnapshot) return { code: 'new-secondary', text: 'new secondary: it holds nothing yet' };
    if (missingBefore !== undefined) return missing(`in ${topic} between ${here} and ${formatPosition(missingBefore)}`);
    if (this.#beginsAfter !== undefined) {
      const where = stream === null ? 'holds nothing yet' : `stands at ${here}`;
      const after = formatPosition(this.#beginsAfter);
      if (this.#isAnew) return missing(`${topic} was made anew and begins after ${after}, the secondary ${where}`);
      return { code: 'retention-passed', text: `retention has passed it by: ${topic} begins after ${after}, the secondary ${where}` };
    }
    if (primary.revision <= position.revision) return undefined;
    return missing(`${topic} holds none of this stream, the secondary stands at ${here}, the primary at ${formatPosition(primary)}`);
  }
}

function missing(what: string): Reason {
  return { code: 'frames-missing', text: `frames are missing: ${what}` };
}

function candidates({ bounds, known, byTime }: Situation): Candidate[] {
  const { low, high } = bounds;
  const found: Candidate[] = [];
  const add = (origin: Candidate['origin'], offset: bigint) => {
    if (offset >= low && offset < high && found.every(each => each.offset !== offset)) found.push({ origin, offset });
  };
  if (known !== undefined) add('known', known);
  if (byTime !== undefined && byTime < high) add('time', byTime);
  // Everything there is older than what the site holds, so its place is at the end.
  else if (byTime !== undefined) add('tail', high - TAIL_RECORDS > low ? high - TAIL_RECORDS : low);
  add('beginning', low);
  return found;
}
