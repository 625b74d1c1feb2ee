import { type CommitOptions, EvertreeError, type ExactPosition, type Operation, type Store, formatPath } from '@evertree/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  anyOperation,
  DIVERGED_EPOCH_ID,
  ForkedStore,
  memoryStoreOf,
  outcomesOf,
  PADDING,
  put,
  remove,
} from '../../../../test/support/divergences.ts';
import type { DivergedCommit } from './diverged-commit.ts';
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

const reasons = (results: readonly ReplayResult[]) =>
  results.map(({ conflicts }) => conflicts.map(({ path, reason }) => `${path} ${reason}`));

/** A commit that replayed another one. */
const replayOf = ({ position }: DivergedCommit): DivergedCommit => ({
  position: { epoch: 5, epochId: '00000000000000ff', revision: 9 },
  message: `replay of 1-${position.revision} (epoch id ${position.epochId}): mine`,
  operations: [put('/a', 1)],
});

describe('a replay', () => {
  test('applies each commit as a new one, with its author and a message that says whence', async () => {
    const commits = forked.diverged([put('/a', 1), put('/f', 1)], [remove('/e')]);
    expect(await forked.replay([{ ...commits[0]!, message: 'more' }, commits[1]!])).toEqual([
      { position: { epoch: 1, revision: 3 }, outcome: 'applied', conflicts: [], as: { epoch: 1, revision: 3 } },
      { position: { epoch: 1, revision: 4 }, outcome: 'applied', conflicts: [], as: { epoch: 1, revision: 4 } },
    ]);
    expect(store.get('')).toEqual({ a: 1, b: { c: 0, d: 0 }, f: 1 });
    const again = await forked.replay(commits);
    expect(outcomesOf(again), 'nothing is applied twice').toEqual(['replayed', 'replayed']);
    expect(again[1]!.as).toEqual({ epoch: 1, revision: 4 });
    expect(store.position.revision).toBe(4);
  });

  test('leaves out what the other history changed, and says where', async () => {
    store.put('/a', 7);
    const at = store.position;
    const results = await forked.replay(forked.diverged([put('/a', 1)], [put('/b/c', 1)]));
    expect(outcomesOf(results)).toEqual(['conflict', 'applied']);
    expect(results[0]!.conflicts).toEqual([{ path: '/a', reason: 'changed', position: { epoch: 1, revision: at.revision } }]);
    expect(store.get('')).toEqual({ a: 7, b: { c: 1, d: 0 }, e: 0 });
  });

  test.each<[string, () => unknown, Operation, string]>([
    ['above', () => store.put('/b', {}), put('/b/c', 1), '/b/c changed'],
    ['below', () => store.put('/b/c', 7), put('/b', {}), '/b changed'],
  ])('sees a change %s a path', async (_name, change, operation, conflict) => {
    change();
    expect(reasons(await forked.replay(forked.diverged([operation])))).toEqual([[conflict]]);
  });

  test('leaves out what was built on a commit that is left out', async () => {
    const commits = forked.diverged([put('/a', 1)], [put('/a', 2)], [put('/e', 1)]);
    const results = await forked.replay(commits, { chosen: new Set([4, 5]) });
    expect(reasons(results)).toEqual([['/a left-out'], []]);
    expect(store.get('')).toMatchObject({ a: 0, e: 1 });
  });

  test('finds no conflict where an earlier replay wrote what a later commit saw', async () => {
    const commits = forked.diverged([put('/a', 1)], [put('/a', 2)], [put('/a', 3)]);
    expect(outcomesOf(await forked.replay(commits, { chosen: new Set([3]) }))).toEqual(['applied']);
    expect(outcomesOf(await forked.replay(commits, { chosen: new Set([4, 5]) }))).toEqual(['applied', 'applied']);
    expect(store.get('/a')).toBe(3);
  });

  test('does not take a path back to an earlier commit of the divergence', async () => {
    const commits = forked.diverged([put('/a', 1)], [put('/a', 2)]);
    await forked.replay(commits, { chosen: new Set([4]), force: true });
    expect(reasons(await forked.replay(commits, { chosen: new Set([3]) }))).toEqual([['/a later']]);
    expect(store.get('/a')).toBe(2);
  });

  test('applies no commit whose replay was left behind, and replayed itself', async () => {
    const [own] = forked.diverged([put('/a', 1)]);
    const message = `replay of 1-${own!.position.revision} (epoch id ${DIVERGED_EPOCH_ID}): mine`;
    await forked.replay([{ ...own!, position: { epoch: 5, epochId: '00000000000000ff', revision: 9 }, message }]);
    store.put('/a', 7);
    const [result] = await forked.replay([own!], { force: true });
    expect([result!.outcome, result!.as, store.get('/a')]).toEqual(['replayed', { epoch: 1, revision: 3 }, 7]);
  });

  test('applies no replay that was left behind, after its original was replayed again', async () => {
    const [own] = forked.diverged([put('/a', 1)]);
    await forked.replay([own!]);
    store.put('/a', 7);
    const [result] = await forked.replay([replayOf(own!)], { force: true });
    expect([result!.outcome, result!.as, store.get('/a')]).toEqual(['replayed', { epoch: 1, revision: 3 }, 7]);
  });

  test('applies no replay that was left behind, where its original is in the history itself', async () => {
    const [own] = forked.diverged([put('/a', 1)]).map(each => ({ ...each, position: { ...each.position, epochId: base.epochId } }));
    store.put('/a', 1);
    store.put('/a', 7);
    const results = await forked.replay([replayOf(own!), ...forked.diverged([put('/a', 2)])], { force: true });
    expect([outcomesOf(results), results[0]!.as, store.get('/a')]).toEqual([['replayed', 'applied'], { epoch: 1, revision: 3 }, 2]);
  });

  test('takes a commit that is in the history itself for applied, and what followed it for no conflict', async () => {
    const { epochId } = base;
    store.put('/a', 1);
    store.put('/a', 7);
    store.put('/e', 1);
    const own = forked.diverged([put('/a', 1)]).map(commit => ({ ...commit, position: { ...commit.position, epochId } }));
    expect(await forked.replay(own, { force: true })).toEqual([
      { position: { epoch: 1, revision: 3 }, outcome: 'replayed', conflicts: [], as: { epoch: 1, revision: 3 } },
    ]);
    expect([store.get('/a'), store.position.revision]).toEqual([7, 5]);
  });

  test.each([
    ['of another epoch', { epochId: '00000000000000ff' }],
    ['of another epoch with its id', { epoch: 7 }],
    ['that it does not have', { revision: 70 }],
  ])('takes a commit of another divergence, %s, that was replayed here for a change', async (_name, other) => {
    const [own] = forked.diverged([put('/a', 1)]);
    await forked.replay([{ ...own!, position: { ...own!.position, ...other }, operations: [put('/a', 5)] }]);
    expect(reasons(await forked.replay([own!]))).toEqual([['/a changed']]);
    expect(store.get('/a')).toBe(5);
  });

  test('applies a commit in spite of conflicts when that is asked for, and shows them', async () => {
    store.put('/a', 7);
    const results = await forked.replay(forked.diverged([put('/a', 1)], [put('/a', 2)]), { force: true });
    expect(outcomesOf(results)).toEqual(['applied', 'applied']);
    expect(reasons(results)).toEqual([['/a changed'], []]);
    expect(store.get('/a')).toBe(2);
  });

  test('has nothing to do where both histories did the same', async () => {
    store.put('/a', 1);
    store.delete('/e');
    expect(outcomesOf(await forked.replay(forked.diverged([put('/a', 1)], [remove('/e')])))).toEqual(['equal', 'equal']);
    expect(store.position.revision).toBe(4);
  });

  test('that is a dry run changes nothing and foretells what happens', async () => {
    store.put('/e', 7);
    const commits = forked.diverged([put('/a', 1)], [put('/a', 2)], [put('/e', 1)]);
    const foretold = await forked.replay(commits, { dryRun: true });
    expect(store.position.revision).toBe(3);
    expect(outcomesOf(await forked.replay(commits))).toEqual(outcomesOf(foretold));
  });

  test('tells what the store does not take, and goes on', async () => {
    const commits = forked.diverged([put('/a/x', 1)], [put('/e', 1)]);
    const results = await forked.replay(commits);
    expect(outcomesOf(results)).toEqual(['refused', 'applied']);
    expect(results[0]!.error).toMatchObject({ code: 'PATH_INVALID' });
  });

  test('meets what others commit while it reads the history', async () => {
    const commits = forked.diverged([put('/a', 1)], [put('/e', 1)]);
    let waits = 0;
    const other = () => {
      if (waits++ === 0) store.put('/a', 7);
      return Promise.resolve();
    };
    expect(outcomesOf(await forked.replay(commits, {}, other))).toEqual(['conflict', 'applied']);
  });

  test('says that it can not tell where the history since the fork is not all here', async () => {
    const commits = forked.diverged([put('/a', 1)]);
    forgetFrames();
    expect(reasons(await forked.replay(commits))).toEqual([['/a unknown']]);
    expect(outcomesOf(await forked.replay(commits, { force: true }))).toEqual(['applied']);
  });

  test('knows a commit that is in the history itself, also where the frames since the fork are not all here', async () => {
    store.put('/a', 1);
    store.put('/a', 7);
    forgetFrames();
    const own = forked.diverged([put('/a', 1)]).map(commit => ({ ...commit, position: { ...commit.position, epochId: base.epochId } }));
    expect([outcomesOf(await forked.replay(own, { force: true })), store.get('/a')]).toEqual([['replayed'], 7]);
  });

  test('refuses a divergence of another history', async () => {
    const elsewhere = { epoch: 1, epochId: 'ffffffffffffffff', revision: 2 };
    await expect(forked.replay(forked.diverged([put('/a', 1)]), { base: elsewhere })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
  });
});

function compacted(): Promise<never> {
  return Promise.reject(new EvertreeError('COMPACTED', 'the journal begins later'));
}

/** As if the journal of the store had dropped the frames since the fork. */
function forgetFrames(): void {
  const { log } = store.journal;
  const read = log.read.bind(log);
  log.read = () => Object.assign(read(base), { next: compacted });
}

function apply(to: Store, { type, path: at, ...rest }: Operation): void {
  if (type === 'delete') to.transact(tx => tx.has(at) && tx.delete(at));
  else to.put(at, (rest as { value: unknown }).value);
}

function isTaken(to: Store, change: Operation): boolean {
  try {
    apply(to, change);
    return true;
  } catch {
    return false;
  }
}

test.each<[string, readonly Operation[]]>([
  ['a commit', []],
  ['a large commit', PADDING],
])('whatever both histories did and do meanwhile, %s that is applied without force meets exactly what it saw', async (_name, padding) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyOperation, { maxLength: 4 }),
      fc.array(anyOperation, { minLength: 1, maxLength: 5 }),
      fc.array(fc.option(anyOperation, { freq: 2 }), { maxLength: padding.length === 0 ? 6 : 48, size: 'max' }),
      fc.nat(31),
      async (winning, losing, meanwhile, mask) => {
        const tree = { a: 0, b: { c: { x: 0 }, d: 0 } };
        await using parted = await ForkedStore.open(tree);
        await using loser = await memoryStoreOf(tree);
        const { store: winner, base: fork } = parted;
        for (const change of winning) isTaken(winner, change);
        const saw: (string | undefined)[] = [];
        const operations = losing.filter(change => {
          const before = loser.digestAt(change.path);
          return isTaken(loser, change) && saw.push(before) > 0;
        });
        const commits = parted.diverged(...operations.map(change => [change, ...padding]));
        const chosen = new Set(commits.map(({ position }) => position.revision).filter((_, index) => (mask & (1 << index)) !== 0));
        const meets = (options: CommitOptions | undefined) => {
          const match = /^replay of 1-(\d+)/.exec(options?.message ?? '');
          if (match === null) return;
          const index = Number(match[1]) - fork.revision - 1;
          const { path: at } = operations[index]!;
          expect(winner.digestAt(at), formatPath(at)).toBe(saw[index]);
        };
        const transact = winner.transact.bind(winner);
        winner.transact = (callback, options) => {
          meets(options);
          return transact(callback, options);
        };
        const commitPrepared = winner.commitPrepared.bind(winner);
        winner.commitPrepared = (prepared, options) => {
          meets(options);
          return commitPrepared(prepared, options);
        };
        const others = meanwhile.values();
        const breathe = async () => {
          // Others get their turn while it is waited for.
          await Promise.resolve();
          const { value } = others.next();
          if (value) isTaken(winner, value);
        };
        await parted.replay(commits, { chosen }, breathe);
      },
    ),
    { numRuns: 300 },
  );
});
