import { EvertreeError } from '../errors.ts';
import type { Lineage } from '../lineage.ts';
import type { FrameLog } from '../seams/journal.ts';
import type { Boundary, ExactPosition } from '../position.ts';
import { Waiters } from './waiters.ts';

/** Follows which frame boundaries are stable in the journal's log, and who waits for that. */
export class Durability {
  readonly #log: FrameLog;
  readonly #waiters: Waiters;
  /** Boundaries of this history that were appended after `stable` and are not stable yet, oldest first. */
  #pending: Boundary[] = [];
  /** The last boundary of this history that is stable in the log, and was told to be. */
  stable: Boundary;

  /** @param history as it is in memory at any time: what is waited for lies in it */
  constructor(log: FrameLog, history: Pick<Lineage, 'epochs' | 'last'>, stable: Boundary) {
    this.#log = log;
    this.#waiters = new Waiters(history);
    this.stable = stable;
  }

  appended(position: ExactPosition, digest: string): void {
    this.#pending.push({ position, digest });
  }

  /** A history that ends at a stable boundary has taken the place of the one before. */
  reset(boundary: Boundary): void {
    this.#pending = [];
    this.stable = boundary;
    this.recheck();
  }

  /** Tells who waits for what the history does not hold any more. */
  recheck(): void {
    this.#waiters.recheck();
    this.#waiters.reached(this.stable.position.revision);
  }

  /** Takes over what became stable in the log; returns whether anything did. */
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

  /** @throws EvertreeError NOT_DURABLE; FENCED where the history holds no such position; what `fail` was told */
  wait(position: ExactPosition): Promise<void> {
    if (!this.#log.durable) {
      return Promise.reject(new EvertreeError('NOT_DURABLE', 'this store is in memory: nothing in it ever counts as durable'));
    }
    return this.#waiters.wait(position, this.stable.position.revision);
  }

  fail(error: EvertreeError): void {
    this.#waiters.fail(error);
  }
}
