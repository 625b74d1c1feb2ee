import { compareEpochs, covers, highestEpoch, samePosition } from '@evertree/core';
import type { EpochName, ExactPosition, Fencing, Link, Store } from '@evertree/core';

export interface AcknowledgerOptions {
  readonly store: Store;
  readonly link: Link;
  /** The primary's epoch, as its hello told it. */
  readonly reign: EpochName;
  /** This site knows of a higher epoch than that primary's: nothing is acknowledged to it any more. */
  outranked(by: Fencing): void;
}

/**
 * Tells the primary, cumulatively, what is applied here and what is durable: once a turn of the event loop at most.
 * Only what the journal calls stable is told as durable. It says nothing before `begin`: until this site has gone back
 * to where the two histories part, its position means nothing to the primary.
 */
export class Acknowledger {
  readonly #options: AcknowledgerOptions;
  #state: 'held' | 'telling' | 'stopped' = 'held';
  #scheduled = false;
  #due = false;
  #applied: ExactPosition | undefined;
  #durable: ExactPosition | undefined;

  constructor(options: AcknowledgerOptions) {
    this.#options = options;
  }

  /** This site's position lies in the primary's history. */
  begin(): void {
    if (this.#state === 'held') this.#state = 'telling';
  }

  /** Something may have changed. `repeat`: tells it even if it is what was told last (a frame came twice). */
  schedule(repeat = false): void {
    this.#due ||= repeat;
    if (this.#scheduled || this.#state !== 'telling') return;
    this.#scheduled = true;
    this.#options.store.clock.soon(() => {
      this.#scheduled = false;
      this.#tell();
    });
  }

  stop(): void {
    this.#state = 'stopped';
  }

  #tell(): void {
    const { store, link } = this.#options;
    // A link that is not writable says when it has drained, and this is scheduled again then.
    if (this.#state !== 'telling' || !link.writable) return;
    const { epochs, journal, site } = store;
    const rival = this.#rival();
    if (rival !== undefined) return this.#options.outranked(rival);
    const applied = store.standing === 'primary' ? ownBase(store) : store.position;
    const { stable } = journal.log;
    const durable = store.standing === 'primary' && covers({ epochs, last: stable }, applied) ? applied : stable;
    // A snapshot is in the journal a moment before it is the tree: what is durable is not yet applied then.
    if (!covers({ epochs, last: applied }, durable)) return;
    const isNews = !isSame(applied, this.#applied) || !isSame(durable, this.#durable);
    if (!isNews && !this.#due) return;
    this.#due = false;
    this.#applied = applied;
    this.#durable = durable;
    link.send({ type: 'acknowledge', site, applied, durable });
  }

  /**
   * The epoch that fences this site, if it stands above that primary's reign: above its hello's epoch, and above those
   * that came from it since.
   */
  #rival(): Fencing | undefined {
    const { store, reign } = this.#options;
    const { fencedBy } = store.journal.identity;
    if (fencedBy === undefined || compareEpochs(fencedBy, reign) <= 0) return undefined;
    return compareEpochs(fencedBy, highestEpoch(store.epochs, store.position)) > 0 ? fencedBy : undefined;
  }
}

/** What a site that leads now holds of the history that it went on from: all up to where its own reign began. */
function ownBase({ epochs, site, position }: Store): ExactPosition {
  const first = epochs.findLastIndex(entry => entry.site !== site) + 1;
  return epochs[first]?.base ?? position;
}

function isSame(position: ExactPosition, told: ExactPosition | undefined): boolean {
  return told !== undefined && samePosition(position, told);
}
