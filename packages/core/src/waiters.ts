import type { EvertreeError } from './errors.ts';

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

  wait(revision: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let at = this.#waiting.length;
      while (at > this.#first && this.#waiting[at - 1]!.revision > revision) at--;
      this.#waiting.splice(at, 0, { revision, resolve, reject });
    });
  }

  reached(revision: number): void {
    while (this.#first < this.#waiting.length && this.#waiting[this.#first]!.revision <= revision) this.#waiting[this.#first++]!.resolve();
    if (this.#first === this.#waiting.length || this.#first > 1_024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }

  fail(error: EvertreeError): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = [];
    this.#first = 0;
    for (const waiter of waiting) waiter.reject(error);
  }
}
