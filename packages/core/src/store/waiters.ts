import type { EvertreeError } from '../errors.ts';
import { covers, lostPosition, type Lineage } from '../lineage.ts';
import type { ExactPosition } from '../position.ts';

interface Waiter {
  readonly position: ExactPosition;
  readonly resolve: () => void;
  readonly reject: (error: EvertreeError) => void;
}

/**
 * Promises for positions of one history: each resolves once its position is reached, and is rejected if that can't
 * happen any more.
 *
 * Every position that is waited for lies in the history, so that their revisions order them. The owner calls `recheck`
 * whenever the history may have gone back.
 */
export class Waiters {
  readonly #history: Pick<Lineage, 'epochs' | 'last'>;
  /** Ordered by revision, in order of arrival where it is the same. Those before `#first` are done. */
  #waiting: Waiter[] = [];
  #first = 0;

  /** @param history it changes while this object lives */
  constructor(history: Pick<Lineage, 'epochs' | 'last'>) {
    this.#history = history;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.length - this.#first;
  }

  /**
   * @param reached the revision up to which everything is reached already
   * @throws EvertreeError FENCED with both positions if the history holds no such position; what `fail` was told
   */
  wait(position: ExactPosition, reached: number): Promise<void> {
    if (!covers(this.#history, position)) return Promise.reject(lostPosition(position, this.#history));
    return position.revision <= reached ? Promise.resolve() : this.begin(position).reached;
  }

  /**
   * Waits for a position of the history. A caller that gives up calls `giveUp`: else its entry stays until the position
   * is reached.
   */
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

  /** The history may have gone back: rejects with FENCED those who wait for what it does not hold any more. */
  recheck(): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = waiting.filter(({ position }) => covers(this.#history, position));
    this.#first = 0;
    for (const { position, reject } of waiting) if (!covers(this.#history, position)) reject(lostPosition(position, this.#history));
  }

  /** Rejects everybody. */
  fail(error: EvertreeError): void {
    this.rejectAll(() => error);
  }

  /** Rejects everybody, each with the error of his position. */
  rejectAll(errorOf: (position: ExactPosition) => EvertreeError): void {
    const waiting = this.#waiting.slice(this.#first);
    this.#waiting = [];
    this.#first = 0;
    for (const { position, reject } of waiting) reject(errorOf(position));
  }

  #remove(waiter: Waiter): void {
    const at = this.#waiting.indexOf(waiter, this.#first);
    if (at > this.#first) this.#waiting.splice(at, 1);
    if (at !== this.#first) return;
    // Most of those that give up came first.
    this.#first++;
    this.#cutOff();
  }

  /** Drops those that are done, once they are all or many. */
  #cutOff(): void {
    if (this.#first < this.#waiting.length && this.#first <= 1_024) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
