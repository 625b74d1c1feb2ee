import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '@evertree/core';

/** The machine's clock. Its timers never keep the process alive. */
export const nodeClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  soon(task) {
    setImmediate(task);
  },
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs).unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** For work that the process has to finish: its timers keep the process alive. */
export const workClock: Clock = {
  ...nodeClock,
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export const nodeRandom: Random = {
  bytes: length => randomBytes(length),
  fraction: () => Math.random(),
};
