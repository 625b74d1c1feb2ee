import type { Clock, Random } from '@evertree/core';

interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * A virtual clock and a seeded source of randomness. Time stands still while anything runs and jumps to the next task
 * when nothing does, so that minutes of a schedule pass in milliseconds, and the same seed gives the same run.
 */
export class Simulation {
  readonly clock: Clock;
  readonly random: Random;
  #nowMs = 1_700_000_000_000;
  readonly #beganMs = this.#nowMs;
  #tasks: Task[] = [];
  #order = 0;
  #held = 0;
  #state: number;

  /** With the seed of the environment, or a random one, which is printed. */
  static seeded(): Simulation {
    const seed = Number(process.env['EVERTREE_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));
    console.log(`seed ${seed} (EVERTREE_SEED=${seed} repeats it)`);
    return new Simulation(seed);
  }

  constructor(seed: number) {
    // xorshift has one state that it never leaves.
    this.#state = seed >>> 0 || 1;
    this.clock = {
      now: () => Math.floor(this.#nowMs),
      monotonic: () => this.#nowMs - this.#beganMs,
      soon: run => void this.#plan(0, run),
      after: (delayMs, run) => this.#plan(delayMs, run),
    };
    this.random = {
      bytes: length => Uint8Array.from({ length }, () => Math.floor(this.fraction() * 256)),
      fraction: () => this.fraction(),
    };
  }

  /** xorshift32 */
  fraction(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state / 0x1_0000_0000;
  }

  /** An integer from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.fraction() * end);
  }

  /** Time stands still while this is pending: something that takes turns of the real event loop. */
  async hold<T>(promise: Promise<T>): Promise<T> {
    this.#held += 1;
    try {
      return await promise;
    } finally {
      this.#held -= 1;
    }
  }

  /** Lets so much virtual time pass. */
  async pass(durationMs: number): Promise<void> {
    const end = this.#nowMs + durationMs;
    await this.#settle();
    while (await this.#runNext(end)) continue;
    this.#nowMs = end;
  }

  /** Lets time pass until `condition` holds. Throws, with what `describe` tells, when it does not within `withinMs`. */
  async until(condition: () => boolean, withinMs: number, describe: () => string): Promise<void> {
    const end = this.#nowMs + withinMs;
    await this.#settle();
    while (!condition()) {
      if (!(await this.#runNext(end))) throw new Error(`it did not happen within ${withinMs} ms of virtual time: ${describe()}`);
    }
  }

  /** Lets time pass while a promise is pending. */
  async during<T>(promise: Promise<T>): Promise<T> {
    const state = { pending: true };
    const done = promise.finally(() => {
      state.pending = false;
    });
    // Whoever awaits `done` below meets the error; until then it is not unhandled.
    done.catch(() => undefined);
    await this.#settle();
    while (state.pending && (await this.#runNext(Infinity))) continue;
    return done;
  }

  async #runNext(endMs: number): Promise<boolean> {
    const next = this.#tasks[0];
    if (next === undefined || next.atMs > endMs) return false;
    this.#tasks.shift();
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.run();
    await this.#settle();
    return true;
  }

  #plan(delayMs: number, run: () => void): Disposable {
    const task: Task = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    const index = this.#tasks.findIndex(each => each.atMs > task.atMs);
    this.#tasks.splice(index < 0 ? this.#tasks.length : index, 0, task);
    return {
      [Symbol.dispose]: () => {
        this.#tasks = this.#tasks.filter(each => each !== task);
      },
    };
  }

  /** Lets every promise settle that can without the clock. */
  async #settle(): Promise<void> {
    do await new Promise<void>(resolve => setImmediate(resolve));
    while (this.#held > 0);
  }
}
