import type { Clock } from '@evertree/core';

/** Resolves after `delayMs`. */
export function wait(clock: Clock, delayMs: number): Promise<void> {
  return new Promise(resolve => void clock.after(delayMs, resolve));
}
