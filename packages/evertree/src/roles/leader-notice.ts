import type { ConsumerStatus } from '@evertree/consumer';
import type { Store } from '@evertree/core';

/**
 * Tells a secondary's store who leads, for whoever wants to write there: the site of the last epoch, at the address that
 * it told.
 */
export class LeaderNotice {
  readonly #store: Store;
  /** What was told last; undefined while nobody leads here but this site. */
  #told: { readonly id: string; readonly address: string | undefined } | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** @param linked the primary that feeds this site, or did last */
  update(linked: ConsumerStatus['primary'] | undefined): void {
    const { epochs, standing, site: here, position } = this.#store;
    const entry = epochs.at(-1);
    if (standing !== 'secondary' || entry === undefined || entry.site === here) {
      this.#told = undefined;
      return;
    }
    const { site, number, id } = entry;
    const address = linked?.site === site ? linked.address : undefined;
    if (this.#told?.id === id && this.#told.address === address) return;
    this.#told = { id, address };
    this.#store.settle({ kind: 'elsewhere', site, address, epoch: { number, id }, position });
  }
}
