import type { ExactPosition, FarEnd, Reason, Store } from '@evertree/core';
import type { CommitTimes } from './commit-times.ts';
import type { ProducerLimits } from './limits.ts';
import { Peer } from './peer.ts';
import type { Remotes } from './remotes.ts';
import type { PeerStatus } from './status.ts';

export interface PeersOptions {
  readonly store: Store;
  readonly limits: ProducerLimits;
  readonly times: CommitTimes;
  readonly remotes: Remotes;
  changed(status: PeerStatus): void;
  resync(site: string, reason: Reason): void;
}

/** The far ends that were ever met, by name: those of the journal's leases, and those that came since. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  get(site: string): Peer | undefined {
    return this.#peers.get(site);
  }

  all(): MapIterator<Peer> {
    return this.#peers.values();
  }

  add(site: string, durable: ExactPosition | undefined, farEnd: FarEnd): Peer {
    const { store, limits, times } = this.#options;
    const peer = new Peer(site, durable, {
      store,
      limits,
      times,
      farEnd,
      changed: each => this.#options.changed(each.status()),
      resync: (each, reason) => this.#options.resync(each.site, reason),
    });
    this.#peers.set(site, peer);
    return peer;
  }

  /**
   * Lists who has a lease in the journal. A lease may have been taken for another history: how far its holder is behind
   * is not known then, until its hello.
   */
  async recall(farEndOf: (site: string) => FarEnd): Promise<void> {
    for (const [site, { position }] of this.#options.store.journal.leases.of('peer')) {
      await this.add(site, position, farEndOf(site)).recall();
    }
  }

  /** A site reads from a log from now on: no address is its own. */
  leaveAddress(site: string): void {
    this.#options.remotes.forget(site);
  }

  /** Takes a site off the list: retention keeps nothing for it any more, and its acknowledgements count no longer. */
  forget(site: string): boolean {
    const { store, remotes } = this.#options;
    const wasLeased = store.journal.leases.release('peer', site);
    remotes.forget(site);
    store.forgetAcknowledgement(site);
    return this.#peers.delete(site) || wasLeased;
  }
}
