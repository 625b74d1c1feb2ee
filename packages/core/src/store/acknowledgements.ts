import { EvertreeError } from '../errors.ts';
import { covers, heldBy, lostPosition, type Lineage } from '../lineage.ts';
import type { Clock } from '../seams/host.ts';
import { formatPosition, type Epoch, type ExactPosition } from '../position.ts';
import { Waiters } from './waiters.ts';

/**
 * What each secondary holds durably of this history, and who waits for how many of them.
 *
 * A site's word counts only as far as its epoch goes in this history: 1-500 does not hold 2-452 if epoch 2 began on
 * 1-450.
 */
export class Acknowledgements {
  readonly #history: Pick<Lineage, 'epochs' | 'last'>;
  /** By site: the last position of this history that the site holds durably, as far as the table `#epochs` tells. */
  readonly #held = new Map<string, ExactPosition>();
  /**
   * The table of epochs that `#held` was computed with. Tables are replaced and never changed, so the same array means
   * the same epochs.
   */
  #epochs: readonly Epoch[];
  /** By the number of secondaries that somebody waits for. Empty ones are removed. */
  readonly #waiters = new Map<number, Waiters>();
  /** Set when no acknowledgement can come any more: the error for everybody who waits. */
  #failure: EvertreeError | undefined;

  /** @param history the history in memory; it changes while this object lives */
  constructor(history: Pick<Lineage, 'epochs' | 'last'>) {
    this.#history = history;
    this.#epochs = history.epochs;
  }

  set(site: string, durable: ExactPosition): void {
    this.#followEpochs();
    this.#held.set(site, heldBy(this.#history, durable));
    for (const [secondaries, waiters] of this.#waiters) waiters.reached(this.#reachedBy(secondaries));
  }

  /** What the site holds counts no more: it was taken off the list. */
  forget(site: string): void {
    this.#held.delete(site);
  }

  /** Rejects those who wait for a position that the history does not hold any more. */
  recheck(): void {
    for (const waiters of this.#waiters.values()) waiters.recheck();
  }

  /** How many wait. */
  get waiting(): number {
    return [...this.#waiters.values()].reduce((sum, waiters) => sum + waiters.size, 0);
  }

  /** How many secondaries hold a position of this history. */
  count({ revision }: ExactPosition): number {
    this.#followEpochs();
    let count = 0;
    for (const held of this.#held.values()) if (held.revision >= revision) count++;
    return count;
  }

  /**
   * Resolves with the count once `secondaries` sites hold a position.
   * @throws EvertreeError ACKNOWLEDGEMENT_TIMEOUT with `position` and `acknowledged`; FENCED if the history holds no
   *   such position
   */
  async wait(position: ExactPosition, secondaries: number, clock: Clock, timeoutMs: number | undefined): Promise<number> {
    if (!covers(this.#history, position)) throw lostPosition(position, this.#history);
    const count = this.count(position);
    if (count >= secondaries) return count;
    if (this.#failure !== undefined) throw this.#failure;
    const { reached, giveUp } = this.#begin(position, secondaries);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const tooLate = () => reject(timedOut(position, this.count(position), secondaries, timeoutMs));
    const timer = timeoutMs === undefined ? undefined : clock.after(timeoutMs, tooLate);
    try {
      await Promise.race([reached, late]);
      // A site that has acknowledged may have been forgotten since.
      return Math.max(secondaries, this.count(position));
    } finally {
      timer?.[Symbol.dispose]();
      giveUp();
    }
  }

  /** Rejects everybody who waits, each with the error of his position. */
  rejectAll(errorOf: (position: ExactPosition) => EvertreeError): void {
    for (const waiters of this.#waiters.values()) waiters.rejectAll(errorOf);
  }

  /** Nobody tells of acknowledgements any more: those who wait learn that the outcome is unknown. */
  lose(): void {
    for (const [secondaries, waiters] of this.#waiters) {
      waiters.rejectAll(position => unknownOutcome(position, this.count(position), secondaries));
    }
  }

  fail(error: EvertreeError): void {
    this.#failure = error;
    for (const waiters of this.#waiters.values()) waiters.fail(error);
    this.#waiters.clear();
  }

  #begin(position: ExactPosition, secondaries: number): { readonly reached: Promise<void>; readonly giveUp: () => void } {
    const waiters = this.#waiters.get(secondaries) ?? new Waiters(this.#history);
    this.#waiters.set(secondaries, waiters);
    const { reached, giveUp } = waiters.begin(position);
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
    const revisions = [...this.#held.values()].map(position => position.revision).toSorted((a, b) => b - a);
    return revisions[secondaries - 1] ?? -1;
  }

  /** Computes anew what each site holds of this history if the table of epochs is another one now. */
  #followEpochs(): void {
    if (this.#epochs === this.#history.epochs) return;
    this.#epochs = this.#history.epochs;
    for (const [site, held] of this.#held) this.#held.set(site, heldBy(this.#history, held));
  }
}

function unknownOutcome(position: ExactPosition, acknowledged: number, secondaries: number): EvertreeError {
  const message =
    `${formatPosition(position)} stands, and ${acknowledged} of ${secondaries} secondaries acknowledged it before another site took over; ` +
    'whether more hold it is unknown here: ask for that position there';
  const { epoch, revision } = position;
  const details = { position: { epoch, revision }, acknowledged, secondaries, outcome: 'unknown' };
  return new EvertreeError('ACKNOWLEDGEMENT_TIMEOUT', message, details);
}

function timedOut(position: ExactPosition, acknowledged: number, secondaries: number, timeoutMs: number | undefined): EvertreeError {
  const { epoch, revision } = position;
  const message = `${formatPosition(position)} stands, but ${acknowledged} of ${secondaries} secondaries acknowledged it within ${timeoutMs} ms`;
  return new EvertreeError('ACKNOWLEDGEMENT_TIMEOUT', message, { position: { epoch, revision }, acknowledged, secondaries });
}
