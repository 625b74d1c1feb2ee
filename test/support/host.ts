import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '@evertree/core';

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  soon: task => void setImmediate(task),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs).unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** On this clock nothing takes time, so that work in steps never rests, however busy the machine is. */
export const stillClock: Clock = { ...systemClock, monotonic: () => 0 };

export const systemRandom: Random = { bytes: length => randomBytes(length), fraction: () => Math.random() };

/** A clock that moves only when a test moves it. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  after(delayMs: number, task: () => void): Disposable {
    const planned = { atMs: this.#nowMs + delayMs, task };
    this.#tasks.push(planned);
    return {
      [Symbol.dispose]: () => {
        this.#tasks = this.#tasks.filter(each => each !== planned);
      },
    };
  }

  /** Milliseconds until the next task falls due. */
  get nextInMs(): number {
    return Math.min(...this.#tasks.map(each => each.atMs)) - this.#nowMs;
  }

  /** Lets so much time pass, and runs what falls due on the way, in order. */
  advance(byMs: number): void {
    const until = this.#nowMs + byMs;
    for (;;) {
      const next = this.#tasks.filter(each => each.atMs <= until).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#tasks = this.#tasks.filter(each => each !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.task();
    }
    this.#nowMs = until;
  }
}
