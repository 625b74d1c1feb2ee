import type { Clock } from '@evertree/core';
import type { Chance } from './chance.ts';
import type { SimulatedProcess } from './machine.ts';

/** In how many of its readings the clock has moved on. */
const MOVED_SHARE = 0.5;
/** What was computed since the last reading, a short step, takes so long at most. A loop's share of a turn is 4 ms. */
const COMPUTED_MS = 1.5;
/** In how many turns others take their time first, and how long at most. */
const BUSY_SHARE = 0.3;
const BUSY_MS = 10;

/**
 * The clock of a process whose processor is slow: what it computes between two readings holds it. So work that is done in
 * steps uses up its share of a turn after a few steps, and rests; and before its next turn others have theirs.
 */
export function slowProcessor(process: SimulatedProcess, chance: Chance): Clock {
  const { clock } = process;
  const { time } = process.machine;
  /** When the last of the turns begins that were asked for. In virtual time. */
  let lastTurnMs = 0;
  return {
    ...clock,
    monotonic: () => {
      if (process.isAlive && !process.isStalled && chance.happens(MOVED_SHARE)) process.hold(chance.between(0, COMPUTED_MS));
      return clock.monotonic();
    },
    // Turns are given in the order in which they were asked for.
    soon: run => {
      const busyMs = chance.happens(BUSY_SHARE) ? chance.between(0, BUSY_MS) : 0;
      lastTurnMs = Math.max(lastTurnMs, time.nowMs + busyMs);
      time.after(lastTurnMs - time.nowMs, () => clock.soon(run));
    },
  };
}
