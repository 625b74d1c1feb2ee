import { PinnedBatch, type Batch } from './batch.ts';
import type { Clock, Reporter } from './host.ts';

/** Batches that one listener gets in one turn of the event loop at the most, so that a long queue holds up nobody else. */
const BATCHES_A_TURN = 100;

export interface DeliveryOptions {
  readonly clock: Clock;
  readonly report: Reporter;
  /** Batches that may wait; beyond, they are merged into one. */
  readonly batchLimit: number;
  /** The listener's name, and what it watches, for people. */
  readonly name: string;
}

/** Hands batches to one listener: in order, never two at once, never in the turn of the commit, and never dropped. */
export class Delivery {
  readonly #callback: (batch: Batch) => void | Promise<void>;
  readonly #options: DeliveryOptions;
  #waiting: PinnedBatch[] = [];
  #running = false;
  #behind = false;
  #over = false;

  constructor(callback: (batch: Batch) => void | Promise<void>, options: DeliveryOptions) {
    this.#callback = callback;
    this.#options = options;
  }

  push(batch: PinnedBatch): void {
    if (this.#over) return;
    if (this.#waiting.length >= this.#options.batchLimit) {
      this.#waiting = [PinnedBatch.merge(this.#waiting)];
      this.#reportBehind();
    }
    this.#waiting.push(batch);
    if (this.#running) return;
    this.#running = true;
    this.#options.clock.soon(() => void this.#run());
  }

  /** No call comes after this one; one that is under way is not waited for. */
  end(): void {
    this.#over = true;
    this.#waiting = [];
  }

  async #run(): Promise<void> {
    for (let count = 0; count < BATCHES_A_TURN; count++) {
      const batch = this.#waiting.shift();
      if (batch === undefined) {
        this.#running = false;
        this.#behind = false;
        return;
      }
      await this.#call(batch);
    }
    this.#options.clock.soon(() => void this.#run());
  }

  async #call(batch: PinnedBatch): Promise<void> {
    try {
      await this.#callback(batch);
    } catch (error) {
      const { name, report } = this.#options;
      const problem = error instanceof Error ? error.message : String(error);
      report({
        level: 'error',
        event: 'listener-threw',
        message: `the listener ${name} threw, and goes on with its next batch: ${problem}`,
        details: { listener: name, error },
      });
    }
  }

  #reportBehind(): void {
    if (this.#behind) return;
    this.#behind = true;
    const { name, report, batchLimit } = this.#options;
    report({
      level: 'warn',
      event: 'listener-behind',
      message: `the listener ${name} is ${batchLimit} batches behind; the waiting ones are merged into one`,
      details: { listener: name },
    });
  }
}
