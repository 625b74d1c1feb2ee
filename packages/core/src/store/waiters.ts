import type { EvertreeError } from '../errors.ts';
import { lostPosition, type Lineage } from '../lineage.ts';
import type { ExactPosition } from '../position.ts';

interface Waiter {
  readonly position: ExactPosition;
  readonly resolve: () => void;
  readonly reject: (error: EvertreeError) => void;
}

/**
 * Promises for positions of one history: each resolves once its position is reached, and is rejected when it never will be.
 *
 * All of them wait for positions of the same history, so that their revisions order them; where that history goes back, `backTo` has
 * to be told.
 */
export class Waiters {
  /** Ordered by revision, in order of arrival where it is the same. Those before `#first` are done. */
  #waiting: Waiter[] = [];
  #first = 0;

  /** How many wait. */
  get size(): number {
    return this.#waiting.length - this.#first;
  }

  wait(position: ExactPosition): Promise<void> {
    return this.begin(position).reached;
  }

  /** As `wait`, for a caller that may give up: it then has to say so, or its entry stays until the position is reached. */
  begin(position: ExactPosition): { readonly reached: Promise<void>; readonly giveUp: () => void } {
    const { promise: reached, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { position, resolve, reject };
    let at = this.#waiting.length;
    while (at > this.#first && this.#waiting[at - 1]!.position.revision > position.revision) at--;
    this.#waiting.splice(at, 0, waiter);
    return { reached, giveUp: () => this.#remove(waiter) };
  }

  reached(revision: number): void {
    while (this.#first < this.#waiting.length && this.#waiting[this.#first]!.position.revision <= revision) {
      this.#waiting[this.#first++]!.resolve();
    }
    this.#cutOff();
  }

  /** The history went back to a revision, and on from there to the end of `history`: who waits for more is told FENCED. */
  backTo(revision: number, history: Pick<Lineage, 'epochs' | 'last'>): void {
    let end = this.#waiting.length;
    while (end > this.#first && this.#waiting[end - 1]!.position.revision > revision) end--;
    for (const { position, reject } of this.#waiting.splice(end)) reject(lostPosition(position, history));
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

  /** Lets go of those that are done, once they are all or many. */
  #cutOff(): void {
    if (this.#first < this.#waiting.length && this.#first <= 1_024) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
