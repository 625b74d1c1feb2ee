import { EvertreeError } from '../errors.ts';
import type { Journal } from '../seams/journal.ts';
import type { ExactPosition, Position } from '../position.ts';
import { Waiters } from './waiters.ts';

/** A frame boundary and the tree's digest there. */
export interface Boundary {
  readonly position: ExactPosition;
  readonly digest: string;
}

/** Follows which frame boundaries are stable in the journal, and who waits for that. */
export class Durability {
  readonly #journal: Journal;
  readonly #waiters = new Waiters();
  /** Boundaries that were appended and are not stable yet, oldest first. */
  #pending: Boundary[] = [];
  stable: Boundary;

  constructor(journal: Journal, stable: Boundary) {
    this.#journal = journal;
    this.stable = stable;
  }

  appended(position: ExactPosition, digest: string): void {
    this.#pending.push({ position, digest });
  }

  /** Everything before is history: a snapshot took its place. */
  reset(boundary: Boundary): void {
    this.#pending = [];
    this.stable = boundary;
  }

  /** Takes over what became stable in the journal; returns whether anything did. */
  advance(): boolean {
    const { revision } = this.#journal.log.stable;
    let done = 0;
    while (done < this.#pending.length && this.#pending[done]!.position.revision <= revision) done++;
    if (done === 0) return false;
    this.stable = this.#pending[done - 1]!;
    this.#pending = done === this.#pending.length ? [] : this.#pending.slice(done);
    this.#waiters.reached(this.stable.position.revision);
    return true;
  }

  /** @throws EvertreeError NOT_DURABLE, and what `fail` was told */
  wait(position: Position): Promise<void> {
    if (!this.#journal.log.durable) {
      return Promise.reject(new EvertreeError('NOT_DURABLE', 'this store is in memory: nothing in it ever counts as durable'));
    }
    if (position.revision <= this.stable.position.revision) return Promise.resolve();
    return this.#waiters.wait(position.revision);
  }

  fail(error: EvertreeError): void {
    this.#waiters.fail(error);
  }
}
