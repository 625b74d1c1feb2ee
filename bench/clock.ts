import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds on the machine's monotonic clock, with fractions: the same clock in every process. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Asks repeatedly until the answer is yes. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, deadlineMs = 60_000, everyMs = 3): Promise<void> {
  const end = now() + deadlineMs;
  while (!(await isSo())) {
    if (now() > end) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`);
    await sleep(everyMs);
  }
}
