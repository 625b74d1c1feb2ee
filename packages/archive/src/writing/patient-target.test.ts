import { EvertreeError, type Clock } from '@evertree/core';
import { expect, test } from 'vitest';
import { systemClock, systemRandom as random } from '../../../../test/support/host.ts';
import { MemoryTarget } from '../../../../test/support/memory-target.ts';
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
