/** So much may wait for the disk before whoever adds to it waits, too. */
const WAITING_LIMIT_BYTES = 2 * 1024 * 1024;

/**
 * Work on the disk that goes on beside its caller: one task after the other, in the order in which they were added. What
 * a task throws is thrown by the next call, and no task after it is begun.
 */
export class WriteQueue {
  #tail: Promise<void> = Promise.resolve();
  #waitingBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  /** Adds a task; waits while more than 2 MiB wait before it. */
  async add(bytes: number, task: () => Promise<void>): Promise<void> {
    if (this.#waitingBytes > WAITING_LIMIT_BYTES) await this.#tail;
    this.#assertSound();
    this.#waitingBytes += bytes;
    const before = this.#tail;
    this.#tail = this.#run(before, bytes, task);
  }

  /** Waits for all tasks. */
  async drain(): Promise<void> {
    await this.#tail;
    this.#assertSound();
  }

  /** Waits for all tasks, or up to the one that fails. */
  async end(): Promise<void> {
    await this.#tail;
  }

  async #run(before: Promise<void>, bytes: number, task: () => Promise<void>): Promise<void> {
    await before;
    try {
      if (this.#failure === undefined) await task();
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#waitingBytes -= bytes;
    }
  }

  #assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
