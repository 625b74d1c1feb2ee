import { Acknowledgements } from './acknowledgements.ts';
import type { CommitHost } from '../transactions/commit.ts';
import type { History } from './history.ts';
import type { ExactPosition } from '../position.ts';
import type { Clock } from '../seams/host.ts';
import type { WriteGate } from './write-gate.ts';

/** What commits are asked for: whether they are durable here, and how many secondaries hold them. */
export class CommitOutcomes implements CommitHost {
  readonly acknowledgements: Acknowledgements;
  readonly #history: History;
  readonly #gate: WriteGate;
  readonly #clock: Clock;

  constructor(history: History, gate: WriteGate, clock: Clock) {
    this.#history = history;
    this.#gate = gate;
    this.#clock = clock;
    this.acknowledgements = new Acknowledgements(history);
  }

  whenDurable(position: ExactPosition): Promise<void> {
    const { durability } = this.#history;
    const isOver = this.#gate.state === 'failed' || this.#gate.state === 'closed';
    if (isOver && position.revision > durability.stable.position.revision) return Promise.reject(this.#gate.reason());
    return durability.wait(position);
  }

  whenAcknowledged(position: ExactPosition, secondaries: number, timeoutMs: number | undefined): Promise<number> {
    return this.acknowledgements.wait(position, secondaries, this.#clock, timeoutMs);
  }

  /** The history was replaced, and may have gone back behind commits that somebody waits for. */
  historyReplaced(): void {
    this.#history.durability.recheck();
    this.acknowledgements.recheck();
  }

  /** The store failed or is closed: rejects everybody who waits. */
  fail(): void {
    const error = this.#gate.reason();
    this.#history.durability.fail(error);
    this.acknowledgements.fail(error);
  }
}
