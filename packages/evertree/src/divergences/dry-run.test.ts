import { EvertreeError, type ExactPosition, type Operation, Store } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../../../test/support/host.ts';
import { strictReport } from '../../../../test/support/reports.ts';
import type { DivergedCommit } from './diverged-commit.ts';
import { Replay, type ReplayRequest, type ReplayResult } from './replay.ts';

const host = { clock: systemClock, random: systemRandom, report: strictReport };
const EPOCH_ID = 'abcdef0123456789';

let store: Store;
/** Where the histories part. */
let base: ExactPosition;

beforeEach(async () => {
  store = await Store.open({ ...host, journal: new MemoryJournal(host) });
  store.put('', { a: 0, b: { c: 0, d: 0 }, e: 0 });
  // A fork is a frame's end.
  store.cut();
  base = store.position;
});
afterEach(async () => {
  await store.close();
});

/** Commits that follow the fork, each with its operations. */
function diverged(...commits: readonly (readonly Operation[])[]): DivergedCommit[] {
  return commits.map((operations, index) => ({
    position: { epoch: 1, epochId: EPOCH_ID, revision: base.revision + 1 + index },
    author: 'ann',
    operations,
  }));
}

function put(pointer: string, value: unknown): Operation {
  return { type: 'put', path: pointer.split('/').slice(1), value: value as never };
}

function remove(pointer: string): Operation {
  return { type: 'delete', path: pointer.split('/').slice(1) };
}

async function replay(commits: readonly DivergedCommit[], options: Partial<ReplayRequest> = {}): Promise<readonly ReplayResult[]> {
  const chosen = new Set(commits.map(({ position }) => position.revision));
  const run = new Replay(store, { base, commits, chosen, force: false, dryRun: false, ...options }, () => Promise.resolve());
  await run.run();
  return run.results;
}

const outcomes = (results: readonly ReplayResult[]) => results.map(({ outcome }) => outcome);
/** Nothing is there, before and after: so many operations make a commit a large one, and change nothing in what it means. */
const PADDING: readonly Operation[] = Array.from({ length: 1_100 }, () => remove('/nothing'));

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
    const commits = diverged(...changes.map(each => [...each, ...padding]));
    const foretold = await replay(commits, { dryRun: true, force: true });
    expect(outcomes(foretold)).toEqual(expected);
    expect([store.digest, store.position.revision]).toEqual([before, base.revision]);
    if (padding === PADDING) expect((await replay(commits, { force: true })).map(({ as: _as, ...told }) => told)).toEqual(foretold);
  }
  expect(store.position.revision).toBe(base.revision + made);
});

test('a dry run foretells what becomes of the tree as it was when it began, whatever others commit meanwhile', async () => {
  const commits = diverged([put('/a', 1)], [put('/e', 1)], [put('/e', 2), ...PADDING]);
  let value = 10;
  const other = async () => {
    await Promise.resolve();
    store.put('/e', value++);
  };
  const run = new Replay(store, { base, commits, chosen: new Set([3, 4, 5]), force: false, dryRun: true }, other);
  await run.run();
  expect(outcomes(run.results)).toEqual(['applied', 'applied', 'applied']);
  expect(store.get('')).toEqual({ a: 0, b: { c: 0, d: 0 }, e: value - 1 });
});

/** Paths that lie above, below and beside each other. */
const path = fc.constantFrom('/a', '/b', '/b/c', '/b/d', '/b/c/x');
const operation = fc.oneof(
  fc.tuple(path, fc.constantFrom<unknown>(0, 1, {}, { c: 1 })).map(([pointer, value]) => put(pointer, value)),
  path.map(remove),
);

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
      fc.array(operation, { maxLength: 4 }),
      fc.array(fc.tuple(fc.array(operation, { minLength: 1, maxLength: 3 }), fc.boolean()), { minLength: 1, maxLength: 6 }),
      fc.nat(63),
      fc.boolean(),
      async (winning, losing, mask, force) => {
        await using winner = await Store.open({ ...host, journal: new MemoryJournal(host) });
        winner.put('', { a: 0, b: { c: { x: 0 }, d: 0 } });
        winner.cut();
        const fork = winner.position;
        for (const change of winning) take(winner, change);
        const commits = losing.map(([operations, isLarge], index): DivergedCommit => {
          const position = { epoch: 1, epochId: EPOCH_ID, revision: fork.revision + 1 + index };
          return { position, operations: isLarge ? [...operations, ...PADDING] : operations };
        });
        const chosen = new Set(commits.map(({ position }) => position.revision).filter((_, index) => (mask & (1 << index)) === 0));
        const before = [winner.digest, winner.position.revision];
        const foretold = new Replay(winner, { base: fork, commits, chosen, force, dryRun: true }, () => Promise.resolve());
        await foretold.run();
        expect([winner.digest, winner.position.revision]).toEqual(before);
        const run = new Replay(winner, { base: fork, commits, chosen, force, dryRun: false }, () => Promise.resolve());
        await run.run();
        expect(foretold.results).toEqual(run.results.map(({ as: _as, ...told }) => told));
      },
    ),
    { numRuns: 300 },
  );
});
