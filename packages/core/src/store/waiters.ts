import type { EvertreeError } from '../errors.ts';
import { covers, lostPosition, type Lineage } from '../lineage.ts';
import type { ExactPosition } from '../position.ts';

interface Waiter {
  readonly position: ExactPosition;
  readonly resolve: () => void;
  readonly reject: (error: EvertreeError) => void;
}

/**
 * Promises for positions of one history: each resolves once its position is reached, and is rejected when it never will be.
 *
 * All positions that are waited for lie in the history, so that their revisions order them. Where that may have gone back, `recheck` has
 * to be called.
 */
export class Waiters {
  readonly #history: Pick<Lineage, 'epochs' | 'last'>;
  /** Ordered by revision, in order of arrival where it is the same. Those before `#first` are done. */
  #waiting: Waiter[] = [];
  #first = 0;

  /** @param history as it is at any time */
  constructor(history: Pick<Lineage, 'epochs' | 'last'>) {
    this.#history = history;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.length - this.#first;
  }

  /**
   * @param reached the revision up to which everything is reached already
   * @throws EvertreeError FENCED with both positions where the history holds no such position; what `fail` was told
   */
  wait(position: ExactPosition, reached: number): Promise<void> {
    if (!covers(this.#history, position)) return Promise.reject(lostPosition(position, this.#history));
    return position.revision <= reached ? Promise.resolve() : this.begin(position).reached;
  }

  /** Waits for a position of the history; a caller that gives up says so, or its entry stays until the position is reached. */
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

  /** The history may have gone back: who waits for what it does not hold any more is told FENCED. */
  recheck(): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = waiting.filter(({ position }) => covers(this.#history, position));
    this.#first = 0;
    for (const { position, reject } of waiting) if (!covers(this.#history, position)) reject(lostPosition(position, this.#history));
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
