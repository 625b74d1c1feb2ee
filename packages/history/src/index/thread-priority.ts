import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

/**
 * Gives this thread the lowest priority: it takes what the site leaves of the processor. Linux alone has a priority for
 * each thread, and tells a thread's number.
 */
export function yieldProcessor(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), constants.priority.PRIORITY_LOW);
  } catch {
    // Elsewhere it works with the priority of the process.
  }
}
