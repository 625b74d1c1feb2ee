import type { ExactPosition } from '@evertree/core';
import type { Announced } from './control-view.ts';

/** So often in a row the primary says that it has more, and nothing comes. */
const MOST_ANNOUNCEMENTS = 3;

/**
 * Finds that a topic lacks what its primary has, although no frame comes that shows the gap: a snapshot took the place of frames that the
 * primary's journal held no longer, and nothing was committed since.
 */
export class Starvation {
  #heard: Announced | undefined;
  #times = 0;

  /** Something came. */
  fed(): void {
    this.#times = 0;
  }

  /**
   * Nothing came for a while.
   * @param at what this site has
   * @returns where the primary is, when frames up to there are missing
   */
  unfed(primary: Announced | undefined, at: ExactPosition): ExactPosition | undefined {
    const position = primary?.record.closing === undefined ? primary?.record.hello.position : undefined;
    if (position === undefined || position.revision <= at.revision) {
      this.#times = 0;
      return undefined;
    }
    if (primary !== this.#heard) this.#times += 1;
    this.#heard = primary;
    return this.#times > MOST_ANNOUNCEMENTS ? position : undefined;
  }
}
