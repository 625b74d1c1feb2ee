import { setImmediate } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import { EvertreeError, type Clock, type Random } from '@evertree/core';
import { expect, test } from 'vitest';
import { systemClock, systemRandom as random } from '../../../../test/support/host.ts';
import { MemoryTarget } from '../../../../test/support/memory-target.ts';
import type { ObjectStat } from '../targets/target.ts';
import { PatientTarget } from './patient-target.ts';

/** Pauses are short on it. */
const clock: Clock = { ...systemClock, after: (delayMs, task) => systemClock.after(delayMs / 1_000, task) };

/** A target whose calls of `get` end as the list says, one after the other. */
class ScriptedTarget extends MemoryTarget {
  readonly ends: (Error | undefined)[] = [];

  override async get(): Promise<undefined> {
    const end = this.ends.shift();
    if (end !== undefined) throw end;
    return undefined;
  }
}

/** A target that a test takes away and brings back, or that answers and refuses its calls. */
class FickleTarget extends MemoryTarget {
  state: 'away' | 'full' | 'well' = 'away';
  gets = 0;
  looks = 0;

  override async get(): Promise<undefined> {
    this.gets++;
    if (this.state === 'away') throw away();
    if (this.state === 'full') throw new EvertreeError('STORAGE_FULL', 'planted');
  }

  override async stat(): Promise<ObjectStat> {
    this.looks++;
    if (this.state === 'away') throw away();
    return { size: 1, modified: 0 };
  }
}

/** Pauses of more than a second last for ever on it. */
const impatient: Clock = { ...clock, after: (delayMs, task) => clock.after(delayMs > 1_000 ? 1e9 : delayMs, task) };
const middle: Random = { ...random, fraction: () => 0.5 };

/** Waits until a look comes after its calls have ended up in a pause of more than a second. */
async function settledIn(target: FickleTarget): Promise<void> {
  while (target.gets < 4) await setImmediate();
  const before = target.looks;
  while (target.looks <= before + 4) await setImmediate();
}

function away(): EvertreeError {
  return new EvertreeError('UNREACHABLE', 'planted');
}

test('a call that ends for good after it was tried again leaves no outage behind', async () => {
  const told: string[] = [];
  const scripted = new ScriptedTarget();
  const target = new PatientTarget(scripted, {
    clock,
    random,
    failed: ({ code }, attempts) => told.push(`${code} ${attempts}`),
    succeeded: () => told.push('back'),
  });
  scripted.ends.push(away(), new TypeError('a fault of the program'));
  await expect(target.get('a')).rejects.toThrow('a fault of the program');
  scripted.ends.push(away(), away());
  await target.get('a');
  expect(told).toEqual(['UNREACHABLE 1', 'UNREACHABLE 1', 'UNREACHABLE 2', 'back']);
});

test('a target that comes back is noticed in the middle of a long pause', async () => {
  const fickle = new FickleTarget();
  const told: string[] = [];
  const target = new PatientTarget(fickle, {
    clock: impatient,
    random: middle,
    failed: () => undefined,
    succeeded: () => told.push('back'),
  });
  const calls = target.get('a');
  await settledIn(fickle);
  expect(fickle.gets).toBe(4);
  fickle.state = 'well';
  await calls;
  expect(fickle.gets).toBe(5);
  expect(told).toEqual(['back']);
});

test('a target that answers and refuses the calls is not asked more often for that', async () => {
  const fickle = new FickleTarget();
  fickle.state = 'full';
  const target = new PatientTarget(fickle, { clock: impatient, random: middle, failed: () => undefined, succeeded: () => undefined });
  const call = target.get('a');
  await settledIn(fickle);
  expect(fickle.gets).toBe(4);
  target.close();
  await expect(call).rejects.toMatchObject({ code: 'CLOSED' });
});

test.each([
  [0, 500],
  [1, 1_000],
])('a target that is away is looked at behind one pause of 0.5 to 1 s each time (drawn: %d)', async (drawn, pauseMs) => {
  const fickle = new FickleTarget();
  const pauses: number[] = [];
  const recording: Clock = {
    ...impatient,
    after: (delayMs, task) => {
      pauses.push(delayMs);
      return impatient.after(delayMs, task);
    },
  };
  const target = new PatientTarget(fickle, {
    clock: recording,
    random: { ...random, fraction: () => drawn },
    failed: () => undefined,
    succeeded: () => undefined,
  });
  const calls = ['a', 'b', 'c'].map(key => target.get(key));
  // Then all calls are in pauses that last for ever.
  while (pauses.filter(pause => pause > 1_000).length < calls.length) await setImmediate();
  const [looks, before] = [fickle.looks, pauses.length];
  while (fickle.looks < looks + 5) await setImmediate();
  expect(new Set(pauses.slice(before))).toEqual(new Set([pauseMs]));
  expect(pauses.length - before).toBeLessThanOrEqual(6);
  target.close();
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'CLOSED' });
});

test('a target that is away for long keeps nothing of the pauses that are over', async () => {
  const fickle = new FickleTarget();
  const target = new PatientTarget(fickle, {
    clock: { ...clock, after: (_, task) => clock.after(0, task) },
    random: middle,
    failed: () => undefined,
    succeeded: () => undefined,
  });
  const call = target.get('a');
  const promises = async (looks: number) => {
    while (fickle.looks < looks) await setImmediate();
    return queryObjects(Promise, { format: 'count' });
  };
  const early = await promises(50);
  expect((await promises(550)) - early).toBeLessThan(250);
  target.close();
  await expect(call).rejects.toMatchObject({ code: 'CLOSED' });
});
