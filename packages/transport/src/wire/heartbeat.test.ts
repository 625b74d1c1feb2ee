import { describe, expect, test, vi } from 'vitest';
import { ManualClock } from '../../../../test/support/host.ts';
import { Heartbeat } from './heartbeat.ts';

/** One end; the far end is what the test makes of it. */
function end(expectMs = 2000) {
  const clock = new ManualClock();
  const state = { received: 0, reading: true, beats: [] as number[], silentAt: undefined as number | undefined };
  const heartbeat = new Heartbeat(clock, expectMs, {
    receivedBytes: () => state.received,
    reading: () => state.reading,
    beat: () => void state.beats.push(clock.now()),
    silent: () => {
      state.silentAt = clock.now();
    },
  });
  heartbeat.start();
  return { clock, state, heartbeat };
}

describe('signs of life', () => {
  test('are given twice in each heartbeat at least, so that the gap is never longer than one', () => {
    const { clock, state } = end();
    for (let turn = 0; turn < 20; turn++) {
      state.received += 1;
      clock.advance(1000);
    }
    expect(state.beats).toEqual(Array.from({ length: 20 }, (_, index) => 1000 * (index + 1)));
  });

  test('are given as often as the far end wants to hear', () => {
    const { clock, state, heartbeat } = end();
    heartbeat.sendEvery(500);
    clock.advance(1000);
    expect(state.beats).toEqual([250, 500, 750, 1000]);
    heartbeat.sendEvery(60_000);
    state.beats.length = 0;
    clock.advance(2000);
    expect(state.beats).toEqual([2000, 3000]);
  });

  test.for([0, 1, 400, 999, 1000, 1700])('silence is found 2.5 to 3 heartbeats after the last byte (at %s ms)', lastMs => {
    const { clock, state } = end();
    clock.advance(lastMs);
    state.received += 1;
    clock.advance(4999);
    expect(state.silentAt).toBeUndefined();
    clock.advance(1001);
    expect(state.silentAt).toBeLessThanOrEqual(lastMs + 6000);
    expect(state.beats.at(-1)).toBeLessThan(state.silentAt!);
  });

  test('an end that must send more often still finds silence in its own time', () => {
    const { clock, state, heartbeat } = end();
    heartbeat.sendEvery(100);
    clock.advance(4999);
    expect(state.silentAt).toBeUndefined();
    clock.advance(1001);
    expect(state.silentAt).toBeDefined();
  });

  test('one byte is enough, in the middle of a message, too', () => {
    const { clock, state } = end();
    for (let turn = 0; turn < 20; turn++) {
      clock.advance(4900);
      state.received += 1;
    }
    expect(state.silentAt).toBeUndefined();
  });

  test('an end that does not read does not judge silence', () => {
    const { clock, state } = end();
    state.reading = false;
    clock.advance(1_000_000);
    expect(state.silentAt).toBeUndefined();
    state.reading = true;
    clock.advance(4900);
    expect(state.silentAt).toBeUndefined();
    clock.advance(1100);
    expect(state.silentAt).toBeDefined();
  });

  test('an event loop that hardly runs reads before each check', () => {
    const timers: (() => void)[] = [];
    const turnEnds: (() => void)[] = [];
    const after = (_: number, task: () => void) => {
      timers.push(task);
      return { [Symbol.dispose]: () => undefined };
    };
    let received = 0;
    let beats = 0;
    const silent = vi.fn<() => void>();
    const starved = { now: () => 0, monotonic: () => 0, soon: (task: () => void) => void turnEnds.push(task), after };
    const host = { receivedBytes: () => received, reading: () => true, beat: () => void beats++, silent };
    new Heartbeat(starved, 2000, host).start();
    for (let turn = 0; turn < 20; turn++) {
      // Node's turn: timers, of which each is long due, also one that was set just now; then what there is to read;
      // then its end.
      for (let pass = 0; pass < 10; pass++) for (const task of timers.splice(0)) task();
      received += 1;
      for (const task of turnEnds.splice(0)) task();
    }
    expect(beats).toBe(20);
    expect(silent).not.toHaveBeenCalled();
  });

  test('stop when the link does', () => {
    const { clock, state, heartbeat } = end();
    heartbeat.stop();
    heartbeat.sendEvery(500);
    heartbeat.start();
    clock.advance(100_000);
    expect(state).toMatchObject({ beats: [], silentAt: undefined });
  });
});
