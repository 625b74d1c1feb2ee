import type { ExactPosition, Lease, LeaseKind, Leases } from '@evertree/core';

/** A lease with its kind and name. */
export interface NamedLease extends Lease {
  readonly kind: LeaseKind;
  readonly name: string;
}

export const LEASE_KINDS: readonly LeaseKind[] = ['peer', 'copy', 'backup'];

/** The leases of a journal, in memory. */
export class LeaseTable implements Leases {
  readonly #kinds: Readonly<Record<LeaseKind, Map<string, Lease>>> = { peer: new Map(), copy: new Map(), backup: new Map() };

  /** Sorted by kind; within a kind by the time at which they were made. */
  get all(): NamedLease[] {
    return LEASE_KINDS.flatMap(kind => [...this.#kinds[kind]].map(([name, lease]) => ({ kind, name, ...lease })));
  }

  of(kind: LeaseKind): ReadonlyMap<string, Lease> {
    return this.#kinds[kind];
  }

  hold(kind: LeaseKind, name: string, position: ExactPosition, expiresAt?: number): void {
    const { epoch, epochId, revision } = position;
    this.#kinds[kind].set(name, { position: { epoch, epochId, revision }, expiresAt });
  }

  release(kind: LeaseKind, name: string): boolean {
    return this.#kinds[kind].delete(name);
  }

  async flush(): Promise<void> {
    // A table in memory does not outlive its process.
  }
}
