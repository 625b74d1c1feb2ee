import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.ts';

/** The shortest that a timer waits. */
export const BEAT_MS = 1;

/** How a steady writer passes the time until its next write. `beats`: it sleeps, for BEAT_MS. `spins`: it takes turn after turn of the event loop. */
export type Pace = 'beats' | 'spins';

export interface Beat {
  readonly pace: Pace;
  readonly perSecond: number;
  readonly count: number;
}

/**
 * Writes one at a time at a steady rate.
 * @returns when each write was made
 */
export async function steadily({ pace, perSecond, count }: Beat, write: (index: number) => void): Promise<Float64Array> {
  const times = new Float64Array(count);
  const started = now();
  for (let done = 0; done < count;) {
    const due = Math.min(count, Math.floor(((now() - started) * perSecond) / 1e3));
    for (; done < due; done++) {
      times[done] = now();
      write(done);
    }
    await (pace === 'spins' ? nextTurn() : sleep(BEAT_MS));
  }
  return times;
}
