import type { Value } from '@evertree/core';
import { type Change, HistoryQueries } from '@evertree/history';
import { describe, expect, test } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock } from '../support/host.ts';
import { diskStore } from '../support/stores.ts';

/** Leaves of the huge value: with their keys they are more than 1 MiB. */
const GROUPS = 400;
const FIELDS = 100;

function giant(seed: number): Value {
  return Object.fromEntries(
    Array.from({ length: GROUPS }, (_, group) => [
      `interface${group}`,
      Object.fromEntries(Array.from({ length: FIELDS }, (__, field) => [`some-long-name-of-a-counter-${field}`, seed + field])),
    ]),
  );
}

/** A clock on which every loop has had its share of the turn after each step, and which counts the turns. */
function countedClock() {
  let [turns, now] = [0, 0];
  const clock = {
    ...systemClock,
    monotonic: () => (now += 1_000),
    soon: (task: () => void) => {
      turns++;
      systemClock.soon(task);
    },
  };
  return {
    clock,
    /** Turns that were given meanwhile. */
    during: async <T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly turns: number }> => {
      const before = turns;
      const result = await work();
      return { result, turns: turns - before };
    },
  };
}

async function historyOf(values: readonly Value[]) {
  const { clock, during } = countedClock();
  const { store } = await diskStore(new FaultDisk(), { clock });
  for (const value of values) {
    store.put('/a', value);
    store.cut();
    await store.flush();
  }
  return { store, questions: new HistoryQueries({ store }), during };
}

describe('a commit of one huge value', () => {
  test('is shown with what was before and after, and the event loop gets a turn for each part of it', async () => {
    const { store, questions, during } = await historyOf([giant(0), giant(1_000)]);
    const { result, turns } = await during(() => questions.show(store.position));
    expect(result.operations).toEqual([{ path: ['a'], kind: 'put', above: false, before: giant(0), after: giant(1_000) }]);
    expect(turns).toBeGreaterThan(2 * GROUPS);
    await store.close();
  });

  test.each(['newest', 'oldest'] as const)('stands in a history with values among small ones: %s first', async order => {
    const values = [1, 2, giant(0), 3, giant(1_000), giant(2_000), 4, 5];
    const { store, questions, during } = await historyOf(values);
    const { result, turns } = await during(() => Array.fromAsync(questions.changes('/a', { values: true, order })));
    const told = (order === 'newest' ? result.toReversed() : result).flatMap(({ operations }: Change) => operations);
    expect(told.map(({ after }) => after)).toEqual(values);
    expect(told.map(({ before }) => before)).toEqual([undefined, ...values.slice(0, -1)]);
    expect(turns).toBeGreaterThan(2 * 3 * GROUPS);
    await store.close();
  });
});

describe('a search', () => {
  test.each([
    ['for a value', { where: { operator: '=', value: -1 } }],
    ['for what is deleted', { deleted: true }],
  ] as const)('%s that a huge value does not have gives the event loop a turn for each part of it', async (_, wanted) => {
    const { store, questions, during } = await historyOf([giant(0), giant(1_000)]);
    const read = await during(() => Array.fromAsync(questions.changes('/a', { values: true })));
    const { result, turns } = await during(() => Array.fromAsync(questions.find({ path: '/a', ...wanted })));
    expect(result).toEqual([]);
    expect(turns).toBeGreaterThan(read.turns + 2 * GROUPS - 10);
    await store.close();
  });
});

describe('a commit of very many operations', () => {
  test('is shown with what was before and after, and the event loop gets a turn among them', async () => {
    const operations = 12_000;
    const { store, questions, during } = await historyOf([{ first: true }]);
    store.transact(tx => {
      for (let leaf = 0; leaf < operations; leaf++) tx.put(['a', `leaf${leaf}`], leaf);
    });
    await store.flush();
    const { result, turns } = await during(() => questions.show(store.position));
    expect(result.operations).toHaveLength(operations);
    expect(result.operations[77]).toEqual({ path: ['a', 'leaf77'], kind: 'put', above: false, before: undefined, after: 77 });
    expect(turns).toBeGreaterThan(operations);
    await store.close();
  });
});
