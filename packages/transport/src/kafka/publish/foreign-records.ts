import type { Claim } from '../claims/claim.ts';
import type { ReceivedRecord } from '../records.ts';
import type { ReadRange } from './actions.ts';
import type { LinkMemory } from './link-memory.ts';
import { FrameScan } from './tail.ts';
import type { FrameFilter, StreamClaims } from './tail.ts';

/** At most so many records between two of ours are read; a longer range counts as one with frames. */
const LOOK_RECORDS = 256n;

/**
 * Records that another writer put between ours. If frames are among them, this end no longer knows what the topic
 * holds. Other records are harmless. Pure but for its reports.
 */
export class ForeignRecords {
  /** Claims in them that do not stand; whoever reports them takes them out. */
  readonly void: Claim[] = [];
  readonly #topic: string;
  readonly #memory: LinkMemory;
  readonly #claims: StreamClaims;
  readonly #counts: FrameFilter;
  /** Of the range that is being read; undefined between two ranges. */
  #scan: FrameScan | undefined;

  /** @param counts what was superseded is no frame for it */
  constructor(topic: string, memory: LinkMemory, claims: StreamClaims, counts: FrameFilter) {
    this.#topic = topic;
    this.#claims = claims;
    this.#counts = counts;
    this.#memory = memory;
  }

  /** Whether a range is short enough to be read; a longer one counts as one with frames. */
  static areFew(from: bigint, to: bigint): boolean {
    return to - from <= LOOK_RECORDS;
  }

  /**
   * Takes records of a range.
   * @param done they are the last ones.
   * @returns whether there are frames in it, once that is known
   */
  take({ from, to }: ReadRange, records: readonly ReceivedRecord[], done: boolean): boolean {
    this.#scan ??= new FrameScan(this.#claims, this.#counts);
    for (const record of records) if (BigInt(record.offset) < to) this.#scan.take(record);
    if (!done) return false;
    const hasFrames = this.#scan.last !== undefined;
    this.void.push(...this.#scan.void);
    const { claims } = this.#scan;
    this.#scan = undefined;
    // A claim is no foreign record: whoever claims is meant to write it.
    if (BigInt(claims) < to - from) this.tell(from, to, hasFrames);
    return hasFrames;
  }

  tell(from: bigint, to: bigint, hasFrames: boolean): void {
    const kind = hasFrames ? 'frames' : 'records';
    if (hasFrames) this.#memory.foreignTo = to;
    this.#memory.once.tell(`foreign ${kind}`, {
      level: 'warn',
      event: 'foreign-records',
      message: `another writer puts ${kind} into the topic ${this.#topic}, at offset ${from}: only this primary may write there; stop the other writer`,
      details: { topic: this.#topic, offset: from },
    });
  }
}
