import { compareEpochs } from '@evertree/core';
import type { EpochName, FrameHeader } from '@evertree/core';

/**
 * What a claim in a topic comes to.
 * - `leads`: it stands. From there on records that were written under a lower epoch count for nobody.
 * - `again`: a retry wrote it twice, and the first counts.
 * - `void`: it is not numbered above everything before it. Its site has to claim a higher number.
 */
export type ClaimVerdict = 'leads' | 'again' | 'void';

/** What a frame's record in a topic comes to. `superseded`: it counts for nobody, because of what stands before it. */
export type FrameVerdict = 'counts' | 'superseded';

/** What is judged of a frame. */
export type JudgedFrame = Pick<FrameHeader, 'beginsEpoch' | 'epoch' | 'epochId' | 'base'>;

/** A reign that stands in a topic. */
export interface TopicReignName extends EpochName {
  /** Of its claim, or else of the first record that is known to be written under it. */
  readonly offset: bigint;
  /** Whether a claim, a header or the reign's first frame told the id. Else it may be that of a restart. */
  readonly isNamed: boolean;
  /** Whether a frame was written under it. */
  readonly isBegun: boolean;
}

/** A reign, and what may yet be learnt of it. */
interface StandingReign extends TopicReignName {
  id: string;
  isNamed: boolean;
  isBegun: boolean;
  /** Ids of the same number that came later, where the records did not say under which epoch they were written. */
  readonly void: Set<string>;
}

/** Reigns that are remembered: what stands before the oldest of them counts. */
const MOST_REIGNS = 64;

/**
 * Which reigns stand in a topic, in the order of its offsets: PROTOCOL.md, «Claims». It takes what a reader or a writer
 * finds, in any order and as often as it comes, and judges each record by what stands before it. Pure.
 *
 * A reign is named by its number and the id of that number's first entry: the id with which it was claimed.
 */
export class TopicClaims {
  /** Both offsets and numbers grow. */
  readonly #reigns: StandingReign[] = [];

  /** The reign that leads behind all that was taken. */
  get leading(): TopicReignName | undefined {
    return this.#reigns.at(-1);
  }

  /** A claim stands in the topic at `offset`. Also for what `.control` tells of one. */
  takeClaim(offset: bigint, { number, id }: EpochName): ClaimVerdict {
    const before = this.#before(offset);
    if (before !== undefined && number <= before.number) {
      if (number < before.number) return 'void';
      if (!before.isNamed) this.#name(before, id);
      if (before.id !== id) return 'void';
      return before.offset === offset ? 'leads' : 'again';
    }
    this.#insert({ number, id, offset, isNamed: true, void: new Set(), isBegun: false });
    return 'leads';
  }

  /**
   * A frame is whole in the topic with the record at `offset`. The first record under an epoch that was not claimed is
   * judged as its claim.
   * @param under the epoch under which the record says that it was written; undefined where it does not say so
   */
  takeFrame(offset: bigint, frame: JudgedFrame, under: EpochName | undefined): FrameVerdict {
    const { epoch: number, epochId: id } = frame;
    const name = under ?? { number, id };
    const before = this.#before(offset);
    if (before !== undefined && name.number <= before.number) {
      if (name.number < before.number) return 'superseded';
      const verdict =
        before.id === name.id ? 'counts' : under === undefined ? judgeUnnamed(before, frame) : this.#judgeNamed(before, under);
      if (verdict === 'counts') before.isBegun = true;
      return verdict;
    }
    this.#insert({ ...name, offset, isNamed: under !== undefined || beginsNumber(frame), void: new Set(), isBegun: true });
    return 'counts';
  }

  #judgeNamed(before: StandingReign, { id }: EpochName): FrameVerdict {
    if (before.isNamed) return 'superseded';
    this.#name(before, id);
    return 'counts';
  }

  #name(epoch: StandingReign, id: string): void {
    epoch.id = id;
    epoch.isNamed = true;
  }

  /** The reign that leads where a record stands. The newest is asked for most. */
  #before(offset: bigint): StandingReign | undefined {
    return this.#reigns.findLast(reign => reign.offset <= offset);
  }

  /** What stands behind it, and is not numbered above it, is void by it. */
  #insert(epoch: StandingReign): void {
    const at = this.#reigns.findLastIndex(({ offset }) => offset <= epoch.offset) + 1;
    const above = this.#reigns.slice(at).filter(({ number }) => number > epoch.number);
    this.#reigns.splice(at, Infinity, epoch, ...above);
    if (this.#reigns.length > MOST_REIGNS) this.#reigns.shift();
  }
}

/** A frame of the number that leads, with another id than its first, in a record that names no epoch. */
function judgeUnnamed(before: StandingReign, frame: JudgedFrame): FrameVerdict {
  const isRival = (before.isNamed && beginsNumber(frame)) || before.void.has(frame.epochId) || before.void.has(frame.base.epochId);
  // A restart of the same writer draws another id, and so may one that was not read.
  if (!isRival) return 'counts';
  before.void.add(frame.epochId);
  return 'superseded';
}

/** Whether the frame is the first of its number, and no restart entry. */
function beginsNumber({ beginsEpoch, epoch, base }: JudgedFrame): boolean {
  return beginsEpoch && base.epoch < epoch;
}

/**
 * What a writer is in a topic.
 * - `leads`: its own epoch leads there.
 * - `unclaimed`: all that stands there is of a lower number. The first record that it writes is judged as its claim.
 * - `fenced`: another epoch leads, which outranks it. It writes nothing more.
 * - `outnumbered`: another epoch of its number stands there before its own, although its id is the lower one. Outside of
 *   the topic this writer's epoch wins, in it the other's: it has to begin a higher one.
 */
export type WriterStanding = 'leads' | 'unclaimed' | 'fenced' | 'outnumbered';

/** @param leading the reign that leads in the topic, as far as the writer has read it. One without a name, of our number, counts as ours */
export function standingInTopic(ours: EpochName, leading: Pick<TopicReignName, 'number' | 'id' | 'isNamed'> | undefined): WriterStanding {
  if (leading === undefined || leading.number < ours.number) return 'unclaimed';
  if (leading.number === ours.number && (leading.id === ours.id || !leading.isNamed)) return 'leads';
  return compareEpochs(leading, ours) > 0 ? 'fenced' : 'outnumbered';
}
