import { type EpochName, type Store, compareEpochs, highestEpoch } from '@evertree/core';

/** Another site that begins epochs of its own, beside this one. */
export interface RivalPrimary {
  /** Undefined if only its epoch was heard of. */
  readonly site: string | undefined;
  readonly epoch: EpochName;
  /** This site's own. */
  readonly ours: EpochName;
  /** Whether this site's epoch outranks it. */
  readonly wins: boolean;
}

/** Finds and tells that this site and another one were promoted independently of each other. */
export class Rivals {
  readonly #store: Store;
  readonly #found: (rival: RivalPrimary) => void;
  /** The one that was told of last. */
  #last: RivalPrimary | undefined;

  /** @param found told once of each */
  constructor(store: Store, found: (rival: RivalPrimary) => void) {
    this.#store = store;
    this.#found = found;
  }

  get last(): RivalPrimary | undefined {
    return this.#last;
  }

  /** A site that was fenced hears of the other's epoch only. */
  heedFence(): void {
    const { fencedBy } = this.#store.journal.identity;
    if (this.#store.standing === 'fenced' && fencedBy?.begun === true) this.meet(undefined, fencedBy);
  }

  /** An old primary that comes back has an epoch of our table: this one has not, so neither followed the other. */
  meet(site: string | undefined, { number, id }: EpochName): void {
    const { epochs, position, report, site: here } = this.#store;
    const ours = highestEpoch(epochs, position);
    if (number !== ours.number || id === this.#last?.epoch.id || epochs.some(entry => entry.number === number && entry.id === id)) return;
    const wins = compareEpochs(ours, { number, id }) > 0;
    const rival: RivalPrimary = { site, epoch: { number, id }, ours: { number: ours.number, id: ours.id }, wins };
    this.#last = rival;
    const goesBack = wins ? (site ?? 'The other') : here;
    const message =
      `${site ?? 'another site'} has begun epoch ${number} (${id}), and ${here} epoch ${ours.number} (${ours.id}): both were promoted. ` +
      `${goesBack} goes back to where they parted, and keeps what only it has as a divergence`;
    report({ level: 'error', event: 'two-primaries', message, details: { rival } });
    this.#found(rival);
  }
}
