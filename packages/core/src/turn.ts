import type { Clock } from './seams/host.ts';

/**
 * A loop that never waits gives the event loop a turn after this long, so that it holds nobody up for more than 5 ms.
 */
const TURN_MS = 4;

/** Keeps a loop that has much to do from holding the event loop. */
export class Turn {
  readonly #clock: Clock;
  /** When the loop began to work without a pause; on the monotonic clock. */
  #began: number;
  /**
   * Loops that rest, the first first. Each goes on in a turn of its own, so that many take no more of one than one does.
   * While there are any, the clock is to call `#wake`, once.
   */
  readonly #resting: (() => void)[] = [];
  /** Lets the first of them go on. */
  readonly #wake = (): void => {
    this.restart();
    this.#resting.shift()!();
    if (this.#resting.length > 0) this.#clock.soon(this.#wake);
  };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = clock.monotonic();
  }

  /** To be called after a real wait. */
  restart(): void {
    this.#began = this.#clock.monotonic();
  }

  /** Whether the loop has had its share of the turn. */
  get over(): boolean {
    return this.#clock.monotonic() - this.#began >= TURN_MS;
  }

  /** Rests where the loop has had its share; to be called after each step. */
  async breathe(): Promise<void> {
    if (this.over) await this.rest();
  }

  /** Does work in steps, and rests between them where it has had its share. The result is used in a step of its own. */
  async run<T>(steps: Generator<unknown, T, void>): Promise<T> {
    for (let step = steps.next(); ; step = steps.next()) {
      if (this.over) await this.rest();
      if (step.done === true) return step.value;
    }
  }

  /** Lets everything else have a turn. */
  async rest(): Promise<void> {
    await new Promise<void>(resolve => {
      if (this.#resting.push(resolve) === 1) this.#clock.soon(this.#wake);
    });
  }
}

/** Does work in steps without a pause: for callers who can't wait. */
export function finishSteps<T>(steps: Generator<unknown, T, void>): T {
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}
