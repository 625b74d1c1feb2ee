import { EvertreeError, type ExactPosition, type Operation, type Store } from '@evertree/core';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { anyOperation, ForkedStore, outcomesOf, PADDING, put, remove } from '../../../../test/support/divergences.ts';
import type { ReplayResult } from './replay.ts';

let forked: ForkedStore;
let store: Store;
/** Where the histories part. */
let base: ExactPosition;

beforeEach(async () => {
  forked = await ForkedStore.open({ a: 0, b: { c: 0, d: 0 }, e: 0 });
  ({ store, base } = forked);
});
afterEach(() => forked[Symbol.asyncDispose]());

test.each<[string, ReplayResult['outcome'][], number, readonly (readonly Operation[])[]]>([
  ['there and back', ['applied', 'applied'], 2, [[put('/a', 1)], [put('/a', 0)]]],
  ['twice the same', ['applied', 'equal'], 1, [[put('/a', 1)], [put('/a', 1)]]],
  ['that cancel out in themselves', ['equal'], 0, [[put('/a', 1), put('/a', 0)]]],
  ['below what an earlier one removed', ['applied', 'applied'], 2, [[remove('/b')], [put('/b/c', 1)]]],
  ['through a leaf', ['refused', 'applied'], 1, [[put('/a/x', 1)], [put('/e', 1)]]],
  ['through a leaf that an earlier one put', ['applied', 'refused'], 1, [[put('/b', 1)], [put('/b/c', 1)]]],
  ['that a guard refuses', ['refused', 'applied'], 1, [[put('/f', 'text')], [put('/f', 1)]]],
])('a dry run foretells what becomes of commits %s', async (_name, expected, made, changes) => {
  store.guard('/f', { safeParse: value => ({ success: typeof value === 'number' }) });
  const before = store.digest;
  for (const padding of [[], PADDING]) {
    const commits = forked.diverged(...changes.map(each => [...each, ...padding]));
    const foretold = await forked.replay(commits, { dryRun: true, force: true });
    expect(outcomesOf(foretold)).toEqual(expected);
    expect([store.digest, store.position.revision]).toEqual([before, base.revision]);
    if (padding === PADDING) expect((await forked.replay(commits, { force: true })).map(({ as: _as, ...told }) => told)).toEqual(foretold);
  }
  expect(store.position.revision).toBe(base.revision + made);
});

test('a dry run foretells what becomes of the tree as it was when it began, whatever others commit meanwhile', async () => {
  const commits = forked.diverged([put('/a', 1)], [put('/e', 1)], [put('/e', 2), ...PADDING]);
  let value = 10;
  const other = async () => {
    await Promise.resolve();
    store.put('/e', value++);
  };
  expect(outcomesOf(await forked.replay(commits, { dryRun: true }, other))).toEqual(['applied', 'applied', 'applied']);
  expect(store.get('')).toEqual({ a: 0, b: { c: 0, d: 0 }, e: value - 1 });
});

/** Commits an operation, if the store takes it. */
function take(to: Store, { type, path: at, ...rest }: Operation): void {
  try {
    if (type === 'delete') to.delete(at);
    else to.put(at, (rest as { value: unknown }).value);
  } catch (error) {
    expect(error).toBeInstanceOf(EvertreeError);
  }
}

test('whatever both histories did, a dry run foretells what a replay does, and leaves nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyOperation, { maxLength: 4 }),
      fc.array(fc.tuple(fc.array(anyOperation, { minLength: 1, maxLength: 3 }), fc.boolean()), { minLength: 1, maxLength: 6 }),
      fc.nat(63),
      fc.boolean(),
      async (winning, losing, mask, force) => {
        await using parted = await ForkedStore.open({ a: 0, b: { c: { x: 0 }, d: 0 } });
        const { store: winner } = parted;
        for (const change of winning) take(winner, change);
        const commits = parted.diverged(...losing.map(([operations, isLarge]) => (isLarge ? [...operations, ...PADDING] : operations)));
        const chosen = new Set(commits.map(({ position }) => position.revision).filter((_, index) => (mask & (1 << index)) === 0));
        const before = [winner.digest, winner.position.revision];
        const foretold = await parted.replay(commits, { chosen, force, dryRun: true });
        expect([winner.digest, winner.position.revision]).toEqual(before);
        const results = await parted.replay(commits, { chosen, force });
        expect(foretold).toEqual(results.map(({ as: _as, ...told }) => told));
      },
    ),
    { numRuns: 300 },
  );
});
