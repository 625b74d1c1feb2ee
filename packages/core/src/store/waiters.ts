import type { EvertreeError } from '../errors.ts';

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: EvertreeError) => void;
}

/** Promises for revisions: each resolves once its revision is reached, all are rejected when it never will be. */
export class Waiters {
  /** Ordered by revision; those before #first are done. */
  #waiting: Waiter[] = [];
  #first = 0;

  /** How many wait. */
  get size(): number {
    return this.#waiting.length - this.#first;
  }

  wait(revision: number): Promise<void> {
    return this.begin(revision).reached;
  }

  /** As `wait`, for a caller that may give up: whoever does has to say so, or what waits stays for as long as the revision does. */
  begin(revision: number): { readonly reached: Promise<void>; readonly giveUp: () => void } {
    const { promise: reached, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { revision, resolve, reject };
    let at = this.#waiting.length;
    while (at > this.#first && this.#waiting[at - 1]!.revision > revision) at--;
    this.#waiting.splice(at, 0, waiter);
    return { reached, giveUp: () => this.#remove(waiter) };
  }

  reached(revision: number): void {
    while (this.#first < this.#waiting.length && this.#waiting[this.#first]!.revision <= revision) this.#waiting[this.#first++]!.resolve();
    this.#cutOff();
  }

  fail(error: EvertreeError): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = [];
    this.#first = 0;
    for (const waiter of waiting) waiter.reject(error);
  }

  #remove(waiter: Waiter): void {
    const at = this.#waiting.indexOf(waiter, this.#first);
    if (at > this.#first) this.#waiting.splice(at, 1);
    if (at !== this.#first) return;
    // Those that gave up were most often the first to come.
    this.#first++;
    this.#cutOff();
  }

  #cutOff(): void {
    if (this.#first < this.#waiting.length && this.#first <= 1_024) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
