import type { Clock } from '@evertree/core';
import { expect, test } from 'vitest';
import { systemClock } from '../../../../test/support/host.ts';
import { Turns } from './turns.ts';

/** Steps by one millisecond whenever somebody looks. */
function steppingClock(): Clock {
  let nowMs = 0;
  return { ...systemClock, monotonic: () => nowMs++ };
}

test('several tasks together take a few milliseconds of each turn, in the order in which they came', async () => {
  const turns = new Turns(steppingClock());
  const steps: string[] = [];
  let turn = 0;
  let working = 3;
  const work = async (name: string): Promise<void> => {
    for (let step = 0; step < 10; step++) {
      await turns.breathe();
      steps.push(`${turn} ${name}`);
    }
    working--;
  };
  const count = (): void => {
    turn++;
    if (working > 0) setImmediate(count);
  };
  setImmediate(count);
  await Promise.all(['a', 'b', 'c'].map(work));
  const ofTurn = Map.groupBy(steps, step => step.split(' ')[0]);
  for (const [, taken] of ofTurn) expect(taken.length).toBeLessThanOrEqual(5);
  expect(turn).toBeGreaterThanOrEqual(steps.length / 5);
  // No task waits for long: in each dozen of steps every task has made some.
  for (let from = 0; from + 12 <= steps.length; from += 12) {
    expect(new Set(steps.slice(from, from + 12).map(step => step.split(' ')[1])).size).toBe(3);
  }
});

test('a short task that is alone goes on at once', () => {
  const turns = new Turns(steppingClock());
  expect([turns.breathe(), turns.breathe()]).toEqual([undefined, undefined]);
});

test('what its first step took leaves the next one to a later turn', async () => {
  let nowMs = 0;
  const turns = new Turns({ ...systemClock, monotonic: () => nowMs });
  let turn = 0;
  const taken: number[] = [];
  const count = (): void => {
    turn++;
    if (taken.length < 3) setImmediate(count);
  };
  setImmediate(count);
  const longSteps = function* (): Generator<void> {
    for (let step = 0; step < 3; step++) {
      taken.push(turn);
      nowMs += 10;
      yield;
    }
  };
  await turns.run(longSteps());
  expect(new Set(taken).size).toBe(3);
});

test('what many wake up to do at once is spread over turns, with what Node writes at the end of each step', async () => {
  let nowMs = 0;
  const turns = new Turns({ ...systemClock, monotonic: () => nowMs });
  let turn = 0;
  let inTurn = 0;
  let most = 0;
  const write = async (): Promise<void> => {
    await turns.join();
    most = Math.max(most, ++inTurn);
    // As Node's HTTP does: the step itself takes no time, what it leaves for the next tick does.
    process.nextTick(() => (nowMs += 2));
  };
  const count = (): void => {
    turn++;
    inTurn = 0;
    if (turn < 300) setImmediate(count);
  };
  setImmediate(count);
  await Promise.all(Array.from({ length: 250 }, write));
  expect(most).toBeLessThanOrEqual(4);
});
