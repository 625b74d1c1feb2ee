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

/** Ends synchronous writes by slow ones. @returns after how many milliseconds they begin again */
function restOf(quick: QuickWrites, clock: ManualClock): number {
  for (let write = 0; quick.allows(SMALL) && write < 100; write++) quick.wrote(0.8);
  const ended = clock.monotonic();
  while (!quick.allows(SMALL) && clock.monotonic() - ended < 10_000) {
    clock.advance(1);
    for (let write = 0; write < 4; write++) quick.observe(SMALL, 0.4);
  }
  return clock.monotonic() - ended;
}

describe('quick writes', () => {
  test('begin once the disk was seen to be quick, for small groups', () => {
    expect(seen(3, 0.2).quick.allows(SMALL)).toBe(false);
    const { quick } = seen(4, 0.2);
    expect([quick.allows(SMALL), quick.allows(LARGE)]).toEqual([true, false]);
  });

  test('never begin on a disk that takes milliseconds', () => {
    expect(seen(10_000, 5).quick.allows(SMALL)).toBe(false);
  });

  test('what large groups took says nothing', () => {
    const quick = new QuickWrites(new ManualClock());
    for (let write = 0; write < 100; write++) quick.observe(LARGE, 0.1);
    expect(quick.allows(SMALL)).toBe(false);
  });

  test('a write that stalls ends them for a hundred times as long', () => {
    const { quick, clock } = seen(4, 0.2);
    for (let write = 0; write < 1_000; write++) quick.wrote(0.1);
    quick.wrote(2_000);
    expect(quick.allows(SMALL)).toBe(false);
    clock.advance(199_999);
    for (let write = 0; write < 100; write++) quick.observe(SMALL, 0.2);
    expect(quick.allows(SMALL)).toBe(false);
    clock.advance(1);
    quick.observe(SMALL, 0.2);
    expect(quick.allows(SMALL)).toBe(true);
  });

  test('one write that a busy machine delayed does not end them', () => {
    const { quick } = seen(4, 0.2);
    for (let write = 0; write < 1_000; write++) quick.wrote(write % 100 === 50 ? 5 : 0.1);
    expect(quick.allows(SMALL)).toBe(true);
  });

  test('writes that take longer than they seemed to end them, and they are tried again after a second', () => {
    const { quick, clock } = seen(4, 0.9);
    for (let write = 0; quick.allows(SMALL); write++) {
      expect(write).toBeLessThan(50);
      quick.wrote(0.8);
    }
    for (let write = 0; write < 100; write++) quick.observe(SMALL, 0.4);
    expect(quick.allows(SMALL)).toBe(false);
    clock.advance(1_000);
    quick.observe(SMALL, 0.4);
    expect(quick.allows(SMALL)).toBe(true);
  });

  test('they rest for an eighth of a second, for twice as long each time that they end soon, and for a second at most', () => {
    const { quick, clock } = seen(4, 0.4);
    expect(Array.from({ length: 6 }, () => restOf(quick, clock))).toEqual([125, 250, 500, 1_000, 1_000, 1_000]);
  });

  test('after a second of quick writes the next rest is a short one', () => {
    const { quick, clock } = seen(4, 0.4);
    expect([restOf(quick, clock), restOf(quick, clock)]).toEqual([125, 250]);
    clock.advance(1_000);
    expect([restOf(quick, clock), restOf(quick, clock)]).toEqual([125, 250]);
  });

  test('a few asynchronous writes that waited for a processor do not keep them from beginning', () => {
    const { quick } = seen(0, 0);
    for (let write = 0; write < 8; write++) quick.observe(SMALL, write % 4 === 0 ? 20 : 0.3);
    expect(quick.allows(SMALL)).toBe(true);
  });
});
