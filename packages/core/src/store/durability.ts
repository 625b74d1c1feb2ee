import { EvertreeError } from '../errors.ts';
import type { Lineage } from '../lineage.ts';
import type { FrameLog } from '../seams/journal.ts';
import type { Boundary, ExactPosition } from '../position.ts';
import { Waiters } from './waiters.ts';

/** Keeps track of which frame boundaries are stable in the journal's log, and of those who wait for that. */
export class Durability {
  readonly #log: FrameLog;
  readonly #waiters: Waiters;
  /** Boundaries of this history that were appended after `stable` and are not stable yet, oldest first. */
  #pending: Boundary[] = [];
  /** The last boundary of this history that is known to be stable. `advance` moves it to where the log is. */
  stable: Boundary;

  /**
   * @param history the history in memory, which holds every position that is waited for; it changes while this object
   *   lives
   */
  constructor(log: FrameLog, history: Pick<Lineage, 'epochs' | 'last'>, stable: Boundary) {
    this.#log = log;
    this.#waiters = new Waiters(history);
    this.stable = stable;
  }

  appended(position: ExactPosition, digest: string): void {
    this.#pending.push({ position, digest });
  }

  /** The history was replaced by one that ends at this stable boundary. */
  reset(boundary: Boundary): void {
    this.#pending = [];
    this.stable = boundary;
    this.recheck();
  }

  /** Rejects those who wait for a position that the history does not hold any more. */
  recheck(): void {
    this.#waiters.recheck();
    this.#waiters.reached(this.stable.position.revision);
  }

  /** Moves `stable` to where the log is. @returns whether it moved */
  advance(): boolean {
    const { revision } = this.#log.stable;
    let done = 0;
    while (done < this.#pending.length && this.#pending[done]!.position.revision <= revision) done++;
    if (done === 0) return false;
    this.stable = this.#pending[done - 1]!;
    this.#pending = done === this.#pending.length ? [] : this.#pending.slice(done);
    this.#waiters.reached(this.stable.position.revision);
    return true;
  }

  /** @throws EvertreeError NOT_DURABLE; FENCED if the history holds no such position; what `fail` was told */
  wait(position: ExactPosition): Promise<void> {
    if (!this.#log.durable) {
      return Promise.reject(new EvertreeError('NOT_DURABLE', 'this store is in memory: nothing in it ever counts as durable'));
    }
    return this.#waiters.wait(position, this.stable.position.revision);
  }

  /** Rejects everybody who waits, each with the error of his position. */
  rejectAll(errorOf: (position: ExactPosition) => EvertreeError): void {
    this.#waiters.rejectAll(errorOf);
  }

  fail(error: EvertreeError): void {
    this.#waiters.fail(error);
  }
}
