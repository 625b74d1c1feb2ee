import { expect, test } from 'vitest';
import type { Clock } from './seams/host.ts';
import { finishSteps, Turn } from './turn.ts';

test('loops that share a turn go on one after the other, each in a turn of the event loop', async () => {
  let nowMs = 0;
  let due: (() => void)[] = [];
  const clock: Clock = {
    now: () => nowMs,
    monotonic: () => nowMs,
    soon: task => void due.push(task),
    after: () => ({ [Symbol.dispose]: () => undefined }),
  };
  const turn = new Turn(clock);
  const worked: number[] = [];
  const loop = async (name: number): Promise<void> => {
    for (let step = 0; step < 3; step++) {
      nowMs += 10;
      worked.push(name);
      await turn.breathe();
    }
  };
  const loops = [loop(1), loop(2), loop(3)];
  const shares: number[][] = [];
  while (due.length > 0) {
    shares.push(worked.splice(0));
    const tasks = due;
    due = [];
    for (const task of tasks) task();
    for (let tick = 0; tick < 10; tick++) await Promise.resolve();
  }
  await Promise.all(loops);
  // The first turn is not theirs to share: each of them began in it.
  expect(shares).toEqual([[1, 2, 3], [1], [2], [3], [1], [2], [3], [], []]);
});

test('steps are all done, with a rest where a turn is over, and give their result in a step of its own', async () => {
  let nowMs = 0;
  let rests = 0;
  const clock: Clock = {
    now: () => nowMs,
    monotonic: () => nowMs,
    soon: task => {
      rests++;
      queueMicrotask(task);
    },
    after: () => ({ [Symbol.dispose]: () => undefined }),
  };
  function* steps(stepMs: number): Generator<void, number> {
    for (let step = 0; step < 3; step++) {
      nowMs += stepMs;
      yield;
    }
    nowMs += stepMs;
    return nowMs;
  }
  const turn = new Turn(clock);
  expect(await turn.run(steps(0))).toBe(0);
  expect(rests).toBe(0);
  expect(await turn.run(steps(10))).toBe(40);
  expect(rests).toBe(4);
  expect(finishSteps(steps(10))).toBe(80);
  expect(rests).toBe(4);
});
