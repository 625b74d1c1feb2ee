import { Acknowledgements } from './acknowledgements.ts';
import type { CommitHost } from '../transactions/commit.ts';
import type { History } from './history.ts';
import { EvertreeError } from '../errors.ts';
import { formatPosition, type ExactPosition } from '../position.ts';
import type { Clock } from '../seams/host.ts';
import type { WriteGate } from './write-gate.ts';

/** What commits are asked for: whether they are durable here, and how many secondaries hold them. */
export class CommitOutcomes implements CommitHost {
  readonly acknowledgements: Acknowledgements;
  readonly #history: History;
  readonly #gate: WriteGate;
  readonly #clock: Clock;
  /** A site with a higher epoch fences this one, and may not have what was committed here: nothing is answered with success. */
  #isInDoubt = false;
  /** The store failed, or its journal is closed: nothing becomes stable any more. */
  #isOver = false;

  constructor(history: History, gate: WriteGate, clock: Clock) {
    this.#history = history;
    this.#gate = gate;
    this.#clock = clock;
    this.acknowledgements = new Acknowledgements(history);
    this.fenced();
  }

  whenDurable(position: ExactPosition): Promise<void> {
    const { durability } = this.#history;
    // While the store is being closed commits still become stable.
    if (this.#isOver && position.revision > durability.stable.position.revision) return Promise.reject(this.#gate.reason());
    if (this.#isInDoubt) return Promise.reject(this.#fencedError(position));
    return durability.wait(position);
  }

  whenAcknowledged(position: ExactPosition, secondaries: number, timeoutMs: number | undefined): Promise<number> {
    if (this.#isInDoubt) return Promise.reject(this.#fencedError(position));
    return this.acknowledgements.wait(position, secondaries, this.#clock, timeoutMs);
  }

  /**
   * Another site's epoch may fence this site: rejects everybody who waits, unless a handover that is stable makes sure
   * that what he waits for is in the history that goes on.
   */
  fenced(): void {
    const { epochs, revision, durability } = this.#history;
    const isHandedOver = epochs.at(-1)?.end !== undefined && durability.stable.position.revision === revision;
    if (!this.#gate.isFenced || isHandedOver) return;
    this.#isInDoubt = true;
    durability.rejectAll(position => this.#fencedError(position));
    this.acknowledgements.rejectAll(position => this.#fencedError(position));
  }

  /** @throws EvertreeError FENCED if the history that goes on may lack the position */
  assertGoesOn(position: ExactPosition): void {
    if (this.#isInDoubt) throw this.#fencedError(position);
  }

  /** An epoch began on this history, here or elsewhere: all that is in it goes on. */
  goOn(): void {
    this.#gate.update();
    this.#isInDoubt = this.#isInDoubt && this.#gate.isFenced;
  }

  /** The history was replaced, and may have gone back behind commits that somebody waits for. */
  historyReplaced(): void {
    this.goOn();
    this.#history.durability.recheck();
    this.acknowledgements.recheck();
  }

  #fencedError(position: ExactPosition): EvertreeError {
    const { last } = this.#history;
    const { number, id } = this.#gate.fencedBy!;
    const message =
      `${formatPosition(position)} may not be in the history that goes on: this site, which stands at ${formatPosition(last)}, has met a site ` +
      `that knows epoch ${number} (${id}), so another site has become the primary since; read there what stands, and decide anew`;
    return new EvertreeError('FENCED', message, { position, last, fencedBy: { number, id } });
  }

  /** The store failed, or its journal is closed: rejects everybody who waits. */
  fail(): void {
    this.#isOver = true;
    const error = this.#gate.reason();
    this.#history.durability.fail(error);
    this.acknowledgements.fail(error);
  }
}
