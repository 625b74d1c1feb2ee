import type { ExactPosition } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import type { HeardPrimary } from './control-view.ts';

/**
 * After so many signs of life of the primary without a frame: frames that were on their way when the snapshot was
 * announced have come by then.
 */
const MOST_ANNOUNCEMENTS = 3;

/**
 * Finds a gap that no frame shows: a snapshot took the place of the frames at the topic's end, as the primary's journal
 * did not reach back to them, and nothing was committed since.
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
   * @param at what this site has; @param next the offset that it reads next
   * @returns whether the frames missing before the snapshot will not come
   */
  unfed(primary: HeardPrimary | undefined, snapshot: SnapshotRecord | undefined, at: ExactPosition, next: bigint): boolean {
    const isAhead = snapshot !== undefined && snapshot.header.position.revision > at.revision && next >= BigInt(snapshot.follow);
    if (!isAhead || primary?.record.closing !== undefined) {
      this.#times = 0;
      return false;
    }
    if (primary !== this.#heard) this.#times += 1;
    this.#heard = primary;
    return this.#times > MOST_ANNOUNCEMENTS;
  }
}
