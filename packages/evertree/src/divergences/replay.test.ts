import { type CommitOptions, EvertreeError, type ExactPosition, type Operation, Store, formatPath } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
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
const reasons = (results: readonly ReplayResult[]) =>
  results.map(({ conflicts }) => conflicts.map(({ path, reason }) => `${path} ${reason}`));

describe('a replay', () => {
  test('applies each commit as a new one, with its author and a message that says whence', async () => {
    const commits = diverged([put('/a', 1), put('/f', 1)], [remove('/e')]);
    expect(await replay([{ ...commits[0]!, message: 'more' }, commits[1]!])).toEqual([
      { position: { epoch: 1, revision: 3 }, outcome: 'applied', conflicts: [], as: { epoch: 1, revision: 3 } },
      { position: { epoch: 1, revision: 4 }, outcome: 'applied', conflicts: [], as: { epoch: 1, revision: 4 } },
    ]);
    expect(store.get('')).toEqual({ a: 1, b: { c: 0, d: 0 }, f: 1 });
    const again = await replay(commits);
    expect(outcomes(again), 'nothing is applied twice').toEqual(['replayed', 'replayed']);
    expect(again[1]!.as).toEqual({ epoch: 1, revision: 4 });
    expect(store.position.revision).toBe(4);
  });

  test('leaves out what the other history changed, and says where', async () => {
    store.put('/a', 7);
    const at = store.position;
    const results = await replay(diverged([put('/a', 1)], [put('/b/c', 1)]));
    expect(outcomes(results)).toEqual(['conflict', 'applied']);
    expect(results[0]!.conflicts).toEqual([{ path: '/a', reason: 'changed', position: { epoch: 1, revision: at.revision } }]);
    expect(store.get('')).toEqual({ a: 7, b: { c: 1, d: 0 }, e: 0 });
  });

  test.each<[string, () => unknown, Operation, string]>([
    ['above', () => store.put('/b', {}), put('/b/c', 1), '/b/c changed'],
    ['below', () => store.put('/b/c', 7), put('/b', {}), '/b changed'],
  ])('sees a change %s a path', async (_name, change, operation, conflict) => {
    change();
    expect(reasons(await replay(diverged([operation])))).toEqual([[conflict]]);
  });

  test('leaves out what was built on a commit that is left out', async () => {
    const commits = diverged([put('/a', 1)], [put('/a', 2)], [put('/e', 1)]);
    const results = await replay(commits, { chosen: new Set([4, 5]) });
    expect(reasons(results)).toEqual([['/a left-out'], []]);
    expect(store.get('')).toMatchObject({ a: 0, e: 1 });
  });

  test('finds no conflict where an earlier replay wrote what a later commit saw', async () => {
    const commits = diverged([put('/a', 1)], [put('/a', 2)], [put('/a', 3)]);
    expect(outcomes(await replay(commits, { chosen: new Set([3]) }))).toEqual(['applied']);
    expect(outcomes(await replay(commits, { chosen: new Set([4, 5]) }))).toEqual(['applied', 'applied']);
    expect(store.get('/a')).toBe(3);
  });

  test('does not take a path back to an earlier commit of the divergence', async () => {
    const commits = diverged([put('/a', 1)], [put('/a', 2)]);
    await replay(commits, { chosen: new Set([4]), force: true });
    expect(reasons(await replay(commits, { chosen: new Set([3]) }))).toEqual([['/a later']]);
    expect(store.get('/a')).toBe(2);
  });

  test('applies no commit whose replay was left behind, and replayed itself', async () => {
    const [own] = diverged([put('/a', 1)]);
    const message = `replay of 1-${own!.position.revision} (epoch id ${EPOCH_ID}): mine`;
    await replay([{ ...own!, position: { epoch: 5, epochId: '00000000000000ff', revision: 9 }, message }]);
    store.put('/a', 7);
    const [result] = await replay([own!], { force: true });
    expect([result!.outcome, result!.as, store.get('/a')]).toEqual(['replayed', { epoch: 1, revision: 3 }, 7]);
  });

  const replayOf = ({ position }: DivergedCommit): DivergedCommit => ({
    position: { epoch: 5, epochId: '00000000000000ff', revision: 9 },
    message: `replay of 1-${position.revision} (epoch id ${position.epochId}): mine`,
    operations: [put('/a', 1)],
  });

  test('applies no replay that was left behind, after its original was replayed again', async () => {
    const [own] = diverged([put('/a', 1)]);
    await replay([own!]);
    store.put('/a', 7);
    const [result] = await replay([replayOf(own!)], { force: true });
    expect([result!.outcome, result!.as, store.get('/a')]).toEqual(['replayed', { epoch: 1, revision: 3 }, 7]);
  });

  test('applies no replay that was left behind, where its original is in the history itself', async () => {
    const [own] = diverged([put('/a', 1)]).map(each => ({ ...each, position: { ...each.position, epochId: base.epochId } }));
    store.put('/a', 1);
    store.put('/a', 7);
    const results = await replay([replayOf(own!), ...diverged([put('/a', 2)])], { force: true });
    expect([outcomes(results), results[0]!.as, store.get('/a')]).toEqual([['replayed', 'applied'], { epoch: 1, revision: 3 }, 2]);
  });

  test('takes a commit that is in the history itself for applied, and what followed it for no conflict', async () => {
    const { epochId } = base;
    store.put('/a', 1);
    store.put('/a', 7);
    store.put('/e', 1);
    const own = diverged([put('/a', 1)]).map(commit => ({ ...commit, position: { ...commit.position, epochId } }));
    expect(await replay(own, { force: true })).toEqual([
      { position: { epoch: 1, revision: 3 }, outcome: 'replayed', conflicts: [], as: { epoch: 1, revision: 3 } },
    ]);
    expect([store.get('/a'), store.position.revision]).toEqual([7, 5]);
  });

  test.each([
    ['of another epoch', { epochId: '00000000000000ff' }],
    ['of another epoch with its id', { epoch: 7 }],
    ['that it does not have', { revision: 70 }],
  ])('takes a commit of another divergence, %s, that was replayed here for a change', async (_name, other) => {
    const [own] = diverged([put('/a', 1)]);
    await replay([{ ...own!, position: { ...own!.position, ...other }, operations: [put('/a', 5)] }]);
    expect(reasons(await replay([own!]))).toEqual([['/a changed']]);
    expect(store.get('/a')).toBe(5);
  });

  test('applies a commit in spite of conflicts when that is asked for, and shows them', async () => {
    store.put('/a', 7);
    const results = await replay(diverged([put('/a', 1)], [put('/a', 2)]), { force: true });
    expect(outcomes(results)).toEqual(['applied', 'applied']);
    expect(reasons(results)).toEqual([['/a changed'], []]);
    expect(store.get('/a')).toBe(2);
  });

  test('has nothing to do where both histories did the same', async () => {
    store.put('/a', 1);
    store.delete('/e');
    expect(outcomes(await replay(diverged([put('/a', 1)], [remove('/e')])))).toEqual(['equal', 'equal']);
    expect(store.position.revision).toBe(4);
  });

  test('that is a dry run changes nothing and foretells what happens', async () => {
    store.put('/e', 7);
    const commits = diverged([put('/a', 1)], [put('/a', 2)], [put('/e', 1)]);
    const foretold = await replay(commits, { dryRun: true });
    expect(store.position.revision).toBe(3);
    expect(outcomes(await replay(commits))).toEqual(outcomes(foretold));
  });

  test('tells what the store does not take, and goes on', async () => {
    const commits = diverged([put('/a/x', 1)], [put('/e', 1)]);
    const results = await replay(commits);
    expect(outcomes(results)).toEqual(['refused', 'applied']);
    expect(results[0]!.error).toMatchObject({ code: 'PATH_INVALID' });
  });

  test('meets what others commit while it reads the history', async () => {
    const commits = diverged([put('/a', 1)], [put('/e', 1)]);
    let waits = 0;
    const other = () => {
      if (waits++ === 0) store.put('/a', 7);
      return Promise.resolve();
    };
    const run = new Replay(store, { base, commits, chosen: new Set([3, 4]), force: false, dryRun: false }, other);
    await run.run();
    expect(outcomes(run.results)).toEqual(['conflict', 'applied']);
  });

  test('says that it can not tell where the history since the fork is not all here', async () => {
    const commits = diverged([put('/a', 1)]);
    forgetFrames();
    expect(reasons(await replay(commits))).toEqual([['/a unknown']]);
    expect(outcomes(await replay(commits, { force: true }))).toEqual(['applied']);
  });

  test('knows a commit that is in the history itself, also where the frames since the fork are not all here', async () => {
    store.put('/a', 1);
    store.put('/a', 7);
    forgetFrames();
    const own = diverged([put('/a', 1)]).map(commit => ({ ...commit, position: { ...commit.position, epochId: base.epochId } }));
    expect([outcomes(await replay(own, { force: true })), store.get('/a')]).toEqual([['replayed'], 7]);
  });

  test('refuses a divergence of another history', async () => {
    const elsewhere = { epoch: 1, epochId: 'ffffffffffffffff', revision: 2 };
    await expect(replay(diverged([put('/a', 1)]), { base: elsewhere })).rejects.toMatchObject({ code: 'HISTORY_MISMATCH' });
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

/** Paths that lie above, below and beside each other. */
const path = fc.constantFrom('/a', '/b', '/b/c', '/b/d', '/b/c/x');
const operation = fc.oneof(
  fc.tuple(path, fc.constantFrom<unknown>(0, 1, {}, { c: 1 })).map(([pointer, value]) => put(pointer, value)),
  path.map(remove),
);

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

/** Nothing is there, before and after: so many operations make a commit a large one, and change nothing in what it means. */
const PADDING: readonly Operation[] = Array.from({ length: 1_100 }, () => remove('/nothing'));

test.each<[string, readonly Operation[]]>([
  ['a commit', []],
  ['a large commit', PADDING],
])('whatever both histories did and do meanwhile, %s that is applied without force meets exactly what it saw', async (_name, padding) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 4 }),
      fc.array(operation, { minLength: 1, maxLength: 5 }),
      fc.array(fc.option(operation, { freq: 2 }), { maxLength: padding.length === 0 ? 6 : 48, size: 'max' }),
      fc.nat(31),
      async (winning, losing, meanwhile, mask) => {
        await using winner = await Store.open({ ...host, journal: new MemoryJournal(host) });
        await using loser = await Store.open({ ...host, journal: new MemoryJournal(host) });
        for (const each of [winner, loser]) each.put('', { a: 0, b: { c: { x: 0 }, d: 0 } });
        winner.cut();
        const fork = winner.position;
        for (const change of winning) isTaken(winner, change);
        const saw: (string | undefined)[] = [];
        const operations = losing.filter(change => {
          const before = loser.digestAt(change.path);
          return isTaken(loser, change) && saw.push(before) > 0;
        });
        const commits = operations.map((change, index): DivergedCommit => {
          return { position: { epoch: 1, epochId: EPOCH_ID, revision: fork.revision + 1 + index }, operations: [change, ...padding] };
        });
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
        const run = new Replay(winner, { base: fork, commits, chosen, force: false, dryRun: false }, breathe);
        await run.run();
      },
    ),
    { numRuns: 300 },
  );
});
