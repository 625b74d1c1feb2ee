import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { QuickWrites } from './quick-writes.ts';

const SMALL = 200;
const LARGE = 64 * 1024;

/** Has seen so many asynchronous writes of small groups. */
function seen(count: number, tookMs: number): { quick: QuickWrites; clock: ManualClock } {
  const clock = new ManualClock();
  const quick = new QuickWrites(clock);
  for (let write = 0; write < count; write++) quick.observe(SMALL, tookMs);
  return { quick, clock };
}

/** @returns after how many milliseconds they begin again, on a disk that asynchronous writes find quick */
function restOf(quick: QuickWrites, clock: ManualClock): number {
  const ended = clock.monotonic();
  while (!quick.allows(SMALL) && clock.monotonic() - ended < 1_000_000) {
    clock.advance(1);
    quick.observe(SMALL, 0.4);
  }
  return clock.monotonic() - ended;
}

/**
 * Writes one group a millisecond for so long, synchronously where that is allowed.
 * @param disk what a write takes at a moment, in milliseconds; the asynchronous ones seem to take 0.4
 * @returns for how many milliseconds synchronous writes held the loop: in all, and beyond 0.5 ms each
 */
function run(forMs: number, disk: (atMs: number) => number): { readonly held: number; readonly beyond: number; readonly writes: number } {
  const { quick, clock } = seen(4, 0.4);
  const total = { held: 0, beyond: 0, writes: 0 };
  const began = clock.monotonic();
  for (let at = 0; at < forMs; at = clock.monotonic() - began) {
    if (quick.allows(SMALL)) {
      const took = disk(at);
      clock.advance(took);
      quick.wrote(took);
      total.held += took;
      total.beyond += Math.max(0, took - 0.5);
      total.writes++;
    } else {
      quick.observe(SMALL, 0.4);
    }
    clock.advance(1);
  }
  return total;
}

describe('quick writes', () => {
  test('begin once the disk was seen to be quick, for small groups', () => {
    expect(seen(3, 0.2).quick.allows(SMALL)).toBe(false);
    const { quick } = seen(4, 0.2);
    expect([quick.allows(SMALL), quick.allows(LARGE)]).toEqual([true, false]);
  });

  test('never begin on a disk that takes milliseconds', () => {
    expect(seen(10_000, 5).quick.allows(SMALL)).toBe(false);
    expect(seen(10_000, 1.1).quick.allows(SMALL)).toBe(false);
  });

  test('what large groups took says nothing', () => {
    const quick = new QuickWrites(new ManualClock());
    for (let write = 0; write < 100; write++) quick.observe(LARGE, 0.1);
    expect(quick.allows(SMALL)).toBe(false);
  });

  test('a few asynchronous writes that waited for a processor do not keep them from beginning', () => {
    const { quick } = seen(0, 0);
    for (let write = 0; write < 8; write++) quick.observe(SMALL, write % 4 === 0 ? 20 : 0.3);
    expect(quick.allows(SMALL)).toBe(true);
  });

  test('go on for ever on a quick disk', () => {
    const { quick } = seen(4, 0.2);
    for (let write = 0; write < 100_000; write++) quick.wrote(0.5);
    expect(quick.allows(SMALL)).toBe(true);
  });

  test('go on after one stall that the credit covers, and after the next one when it is full again', () => {
    const { quick, clock } = seen(4, 0.2);
    for (let stall = 0; stall < 10; stall++) {
      quick.wrote(12);
      expect(quick.allows(SMALL)).toBe(true);
      clock.advance(500);
    }
    quick.wrote(12);
    quick.wrote(12);
    expect(quick.allows(SMALL)).toBe(false);
  });

  test('a long stall ends them for about a hundred times as long', () => {
    const { quick, clock } = seen(4, 0.2);
    for (let write = 0; write < 1_000; write++) quick.wrote(0.1);
    quick.wrote(2_000);
    expect(quick.allows(SMALL)).toBe(false);
    // 10 × 2,000, less what is free (0.5, and 9 × 8) and the credit (50), at a tenth of the time.
    expect(restOf(quick, clock)).toBeCloseTo(198_775, -1);
  });

  test('writes that take longer than they seemed to end them until there is credit again', () => {
    const { quick, clock } = seen(4, 0.9);
    let writes = 0;
    for (; quick.allows(SMALL); writes++) quick.wrote(2);
    expect(writes).toBe(34);
    expect(restOf(quick, clock)).toBeCloseTo(10, -1);
  });

  test('when they end, four more quick writes are seen before they begin again, however much credit there is', () => {
    const { quick, clock } = seen(4, 0.2);
    quick.wrote(15);
    clock.advance(60_000);
    for (let write = 0; write < 3; write++) quick.observe(SMALL, 0.2);
    expect(quick.allows(SMALL)).toBe(false);
    quick.observe(SMALL, 0.2);
    expect(quick.allows(SMALL)).toBe(true);
  });

  test('hold the loop for at most a tenth of the time and 50 ms, beyond 0.5 ms each, and one write more', () => {
    for (const took of [0.8, 2, 5, 8]) {
      const { beyond, writes } = run(60_000, () => took);
      expect(writes).toBeGreaterThan(0);
      expect(beyond).toBeLessThanOrEqual(60_000 * 0.1 + 50 + took);
    }
  });

  test('hold the loop for about a hundredth of the time on a disk that often stalls', () => {
    for (const stall of [50, 200, 1_000]) {
      let next = 0;
      const { beyond } = run(600_000, at => {
        if (at < next) return 0.2;
        next = at + 300;
        return stall;
      });
      expect(beyond).toBeGreaterThan(0);
      expect(beyond).toBeLessThanOrEqual(600_000 * 0.0125 + stall);
    }
  });
});
