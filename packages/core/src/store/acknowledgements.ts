import { EvertreeError } from '../errors.ts';
import type { Clock } from '../seams/host.ts';
import { formatPosition, type ExactPosition, type Position } from '../position.ts';
import { Waiters } from './waiters.ts';

/** What each secondary holds durably, and who waits for how many of them. */
export class Acknowledgements {
  readonly #durable = new Map<string, ExactPosition>();
  /** By the number of secondaries that are waited for. */
  readonly #waiters = new Map<number, Waiters>();
  /** Why nobody acknowledges any more. */
  #failure: EvertreeError | undefined;

  set(site: string, durable: ExactPosition): void {
    this.#durable.set(site, durable);
    for (const [secondaries, waiters] of this.#waiters) waiters.reached(this.#reachedBy(secondaries));
  }

  /** How many wait. */
  get waiting(): number {
    return [...this.#waiters.values()].reduce((sum, waiters) => sum + waiters.size, 0);
  }

  count(revision: number): number {
    let count = 0;
    for (const durable of this.#durable.values()) if (durable.revision >= revision) count++;
    return count;
  }

  /**
   * Resolves with the count once `secondaries` of them hold a position.
   * @throws EvertreeError ACKNOWLEDGEMENT_TIMEOUT with `position` and `acknowledged`
   */
  async wait(position: Position, secondaries: number, clock: Clock, timeoutMs: number | undefined): Promise<number> {
    const { revision } = position;
    if (this.count(revision) >= secondaries) return this.count(revision);
    if (this.#failure !== undefined) throw this.#failure;
    const { reached, giveUp } = this.#begin(revision, secondaries);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const tooLate = () => reject(timedOut(position, this.count(revision), secondaries, timeoutMs));
    const timer = timeoutMs === undefined ? undefined : clock.after(timeoutMs, tooLate);
    try {
      await Promise.race([reached, late]);
      return this.count(revision);
    } finally {
      timer?.[Symbol.dispose]();
      giveUp();
    }
  }

  fail(error: EvertreeError): void {
    this.#failure = error;
    for (const waiters of this.#waiters.values()) waiters.fail(error);
    this.#waiters.clear();
  }

  #begin(revision: number, secondaries: number): { readonly reached: Promise<void>; readonly giveUp: () => void } {
    const waiters = this.#waiters.get(secondaries) ?? new Waiters();
    this.#waiters.set(secondaries, waiters);
    const { reached, giveUp } = waiters.begin(revision);
    return {
      reached,
      giveUp: () => {
        giveUp();
        if (waiters.size === 0 && this.#waiters.get(secondaries) === waiters) this.#waiters.delete(secondaries);
      },
    };
  }

  /** The highest revision that at least `secondaries` sites hold. */
  #reachedBy(secondaries: number): number {
    const revisions = [...this.#durable.values()].map(position => position.revision).toSorted((a, b) => b - a);
    return revisions[secondaries - 1] ?? -1;
  }
}

function timedOut(position: Position, acknowledged: number, secondaries: number, timeoutMs: number | undefined): EvertreeError {
  const message = `${formatPosition(position)} stands, but ${acknowledged} of ${secondaries} secondaries acknowledged it within ${timeoutMs} ms`;
  return new EvertreeError('ACKNOWLEDGEMENT_TIMEOUT', message, { position, acknowledged, secondaries });
}
