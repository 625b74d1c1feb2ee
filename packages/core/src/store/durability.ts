import { EvertreeError } from '../errors.ts';
import { covers, lostPosition, type Lineage } from '../lineage.ts';
import type { FrameLog } from '../seams/journal.ts';
import type { ExactPosition } from '../position.ts';
import { Waiters } from './waiters.ts';

/** A frame boundary and the tree's digest there. */
export interface Boundary {
  readonly position: ExactPosition;
  readonly digest: string;
}

/** Follows which frame boundaries are stable in the journal's log, and who waits for that. */
export class Durability {
  readonly #log: FrameLog;
  /** The history in memory: what is waited for lies in it. */
  readonly #history: Pick<Lineage, 'epochs' | 'last'>;
  readonly #waiters = new Waiters();
  /** Boundaries of this history that were appended after `stable` and are not stable yet, oldest first. */
  #pending: Boundary[] = [];
  /** The last boundary of this history that is stable in the log, and was told to be. */
  stable: Boundary;

  constructor(log: FrameLog, history: Pick<Lineage, 'epochs' | 'last'>, stable: Boundary) {
    this.#log = log;
    this.#history = history;
    this.stable = stable;
  }

  appended(position: ExactPosition, digest: string): void {
    this.#pending.push({ position, digest });
  }

  /** A history that ends at a stable boundary has taken the place of the one before; both go through the positions up to `fork`. */
  reset(boundary: Boundary, fork: ExactPosition): void {
    this.#pending = [];
    this.stable = boundary;
    this.#waiters.backTo(fork.revision, this.#history);
    this.#waiters.reached(boundary.position.revision);
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
    if (!covers(this.#history, position)) return Promise.reject(lostPosition(position, this.#history));
    if (position.revision <= this.stable.position.revision) return Promise.resolve();
    return this.#waiters.wait(position);
  }

  fail(error: EvertreeError): void {
    this.#waiters.fail(error);
  }
}
