import { expect, test } from 'vitest';
import { type DelayMonitor, EventLoopLag } from './event-loop-lag.ts';

/** Remembers the greatest delay since its reset, as Node's does. */
class Monitor implements DelayMonitor {
  readonly count = 1;
  readonly min = 0;
  readonly mean = 0;
  readonly stddev = 0;
  max = 0;
  disabled = false;
  percentile(): number {
    return this.max;
  }
  reset(): void {
    this.max = 0;
  }
  disable(): void {
    this.disabled = true;
  }
}

test('a delay is seen by each reader that comes once a window, and not for ever', () => {
  const monitors: Monitor[] = [];
  let now = 0;
  const lag = new EventLoopLag(
    () => {
      monitors.push(new Monitor());
      return monitors.at(-1)!;
    },
    () => now,
  );
  const delayAt = 290_000;
  const seen: number[] = [];
  // Two readers, each once in two minutes, and one that comes all the time.
  for (now = 0; now <= 900_000; now += 10_000) {
    if (now === delayAt) for (const monitor of monitors) monitor.max = 500;
    const isTurn = now % 120_000 === 30_000 || now % 120_000 === 100_000;
    const { max } = lag.read();
    if (isTurn && max > 0) seen.push(now);
  }
  expect(seen.slice(0, 2)).toEqual([340_000, 390_000]);
  expect(seen.at(-1)).toBeLessThanOrEqual(delayAt + 2 * 120_000 + 10_000);

  lag[Symbol.dispose]();
  expect(monitors.map(monitor => monitor.disabled)).toEqual([true, true]);
});
