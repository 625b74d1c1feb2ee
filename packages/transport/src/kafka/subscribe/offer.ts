import type { ExactPosition, Hello, Reason } from '@evertree/core';
import type { SubscribeAction } from './actions.ts';

/**
 * Asks the site to take from elsewhere what the topic lacks, where it can do that, before it takes a snapshot: once for
 * each position at which it stands.
 */
export class Offer {
  /** As the site's hello says. */
  #isPossible = false;
  /** The revision at which the site was asked last. */
  #madeAt = 0;
  #isOpen = false;

  /** The site was asked, and has not answered. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  begin(catchesUp: boolean): void {
    this.#isPossible = catchesUp;
  }

  /**
   * @param at where the site stands
   * @param base what the topic goes on after
   * @param primary the primary's hello
   * @returns undefined where it is not to be asked
   */
  make(at: ExactPosition, base: ExactPosition, { epochs, position }: Hello, reason: Reason): readonly SubscribeAction[] | undefined {
    if (!this.#isPossible || at.revision <= this.#madeAt || base.revision <= at.revision) return undefined;
    this.#madeAt = at.revision;
    this.#isOpen = true;
    // A frame of the topic may be newer than what the primary said last.
    const last = base.revision > position.revision ? base : position;
    return [{ type: 'offer', base, epochs, last, reason }, { type: 'wait' }];
  }

  answered(): void {
    this.#isOpen = false;
  }
}
