import { EvertreeError, type Reporter } from '@evertree/core';
import { workClock } from './machine.ts';

/** How long a site that closes waits for the end of each of its threads: longer than those have to end by themselves. */
const THREAD_END_MS = 3_000;

/** A thread of a site, as a report names it. */
interface EndingThread {
  /** Of the report. */
  readonly event: string;
  /** What it does, behind "the thread that". */
  readonly does: string;
  /** Where it reads and writes. */
  readonly place: string;
}

/**
 * Waits until a thread has ended, for 3 s at most: a call of the system that never returns, as on a mount whose server is
 * away, keeps it from ending. The site closes without it then.
 * @param closing resolves when it has ended
 */
export async function awaitThreadEnd(closing: Promise<void>, report: Reporter, { event, does, place }: EndingThread): Promise<void> {
  try {
    await withinTime(THREAD_END_MS, closing);
  } catch (error) {
    const message =
      `the thread that ${does} has not ended within ${THREAD_END_MS / 1_000} s: a call to the disk of ${place} may not return, ` +
      'or this machine has too much to do; the site closes without it';
    report({ level: 'warn', event, message, details: { error } });
  }
}

/** Waits for work, and keeps the process alive meanwhile. @throws EvertreeError UNREACHABLE after that time */
export async function withinTime(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  using _ = workClock.after(milliseconds, () => reject(new EvertreeError('UNREACHABLE', `it takes more than ${milliseconds / 1_000} s`)));
  // What fails later has been told of by then.
  work.catch(() => undefined);
  await Promise.race([work, late]);
}
