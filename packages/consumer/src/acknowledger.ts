import { covers, samePosition } from '@evertree/core';
import type { ExactPosition, Link, Store } from '@evertree/core';

/**
 * Tells the primary, cumulatively, what is applied here and what is durable: once a turn of the event loop at most.
 * Only what the journal calls stable is told as durable.
 */
export class Acknowledger {
  readonly #store: Store;
  readonly #link: Link;
  #scheduled = false;
  #due = false;
  #stopped = false;
  #applied: ExactPosition | undefined;
  #durable: ExactPosition | undefined;

  constructor(store: Store, link: Link) {
    this.#store = store;
    this.#link = link;
  }

  /** Something may have changed. `repeat`: tells it even if it is what was told last (a frame came twice). */
  schedule(repeat = false): void {
    this.#due ||= repeat;
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#store.clock.soon(() => {
      this.#scheduled = false;
      this.#tell();
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  #tell(): void {
    // A link that is not writable says when it has drained, and this is scheduled again then.
    if (this.#stopped || !this.#link.writable) return;
    const { position: applied, epochs, journal, site } = this.#store;
    const durable = journal.log.stable;
    // A snapshot is in the journal a moment before it is the tree: what is durable is not yet applied then.
    if (!covers({ epochs, last: applied }, durable)) return;
    const isNews = !isSame(applied, this.#applied) || !isSame(durable, this.#durable);
    if (!isNews && !this.#due) return;
    this.#due = false;
    this.#applied = applied;
    this.#durable = durable;
    this.#link.send({ type: 'acknowledge', site, applied, durable });
  }
}

function isSame(position: ExactPosition, told: ExactPosition | undefined): boolean {
  return told !== undefined && samePosition(position, told);
}
