import type { ExactPosition, Lease, LeaseKind, Leases } from '@evertree/core';

/** The leases of a journal, in memory. */
export class LeaseTable implements Leases {
  readonly #kinds: Readonly<Record<LeaseKind, Map<string, Lease>>> = { peer: new Map() };

  of(kind: LeaseKind): ReadonlyMap<string, Lease> {
    return this.#kinds[kind];
  }

  hold(kind: LeaseKind, name: string, position: ExactPosition): void {
    const { epoch, epochId, revision } = position;
    this.#kinds[kind].set(name, { position: { epoch, epochId, revision } });
  }

  release(kind: LeaseKind, name: string): boolean {
    return this.#kinds[kind].delete(name);
  }
}
