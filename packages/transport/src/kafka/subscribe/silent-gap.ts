import type { ExactPosition } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import type { HeardPrimary } from './control-view.ts';

/**
 * After so many signs of life of the primary without a frame: frames that were on their way when the snapshot was
 * announced have come by then.
 */
const MOST_ANNOUNCEMENTS = 3;

/**
 * Finds a gap that no frame shows: nothing comes, and a snapshot or the primary itself is further than this site. Either
 * a snapshot took the place of the frames at the topic's end, as the primary's journal did not reach back to them; or
 * retention removed the frames before they were read. And nothing was committed since.
 */
export class SilentGap {
  /** The primary's last record when a fetch brought nothing. */
  #heard: HeardPrimary | undefined;
  /** How often the primary spoke since something came. */
  #times = 0;

  /** Something came. */
  fed(): void {
    this.#times = 0;
  }

  /**
   * Nothing came for a while.
   * @param at what this site has; @param next the offset that it reads next, the topic's end
   * @returns the position up to which frames are missing that will not come; undefined if none is
   */
  unfed(primary: HeardPrimary, snapshot: SnapshotRecord | undefined, at: ExactPosition, next: bigint): ExactPosition | undefined {
    const upTo = furthestOf(primary, snapshot, next);
    if (upTo.revision <= at.revision || primary.record.closing !== undefined) {
      this.#times = 0;
      return undefined;
    }
    if (primary !== this.#heard) this.#times += 1;
    this.#heard = primary;
    return this.#times > MOST_ANNOUNCEMENTS ? upTo : undefined;
  }
}

/** What a site that has read up to the offset should have. */
function furthestOf({ record }: HeardPrimary, snapshot: SnapshotRecord | undefined, next: bigint): ExactPosition {
  const { position } = record.hello;
  if (snapshot === undefined || next < BigInt(snapshot.follow)) return position;
  return snapshot.header.position.revision > position.revision ? snapshot.header.position : position;
}
