interface Waiter {
  readonly revision: number;
  resolve(): void;
  reject(error: Error): void;
}

/** Callers of `flush`, each waiting for a revision to be stable. */
export class FlushWaiters {
  #waiters: Waiter[] = [];

  wait(revision: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiters.push({ revision, resolve, reject });
    return promise;
  }

  /** Everything up to `revision` is stable. */
  resolve(revision: number): void {
    // They came in the order of their revisions.
    while (this.#waiters.length > 0 && this.#waiters[0]!.revision <= revision) this.#waiters.shift()!.resolve();
  }

  reject(error: Error): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
