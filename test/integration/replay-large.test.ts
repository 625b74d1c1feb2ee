import { decodeChangeSets, formatPath, type Operation, Store, type Value } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DivergedCommit } from '../../packages/evertree/src/divergences/diverged-commit.ts';
import { Replay } from '../../packages/evertree/src/divergences/replay.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { strictReport } from '../support/reports.ts';
import { framesOf } from '../support/stores.ts';

const host = { clock: systemClock, random: systemRandom, report: strictReport };
const EPOCH_ID = 'abcdef0123456789';
/** More than are made in one step. */
const MANY = 1_100;

function opened(): Promise<Store> {
  return Store.open({ ...host, journal: new MemoryJournal(host) });
}

function members(seed: number): Value {
  return Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`k${n}`, (n % 5) + seed]));
}

/** What a commit of the divergence does at an object: with many operations, with one large value, or with little. */
const change = fc.record({
  at: fc.constantFrom('a', 'b'),
  kind: fc.constantFrom('leaves', 'value', 'leaf', 'delete'),
  seed: fc.nat(2),
});
/** What others commit meanwhile. */
const other = fc.record({ at: fc.constantFrom('a', 'b', 'c'), key: fc.constantFrom('k1', 'k1000', 'x'), value: fc.nat(3) });

function operationsOf({ at, kind, seed }: { readonly at: string; readonly kind: string; readonly seed: number }): Operation[] {
  if (kind === 'value') return [{ type: 'put', path: [at], value: members(seed) }];
  if (kind === 'delete') return [{ type: 'delete', path: [at] }];
  if (kind === 'leaf') return [{ type: 'put', path: [at, 'k7'], value: seed }];
  return Array.from({ length: MANY }, (_, n): Operation => ({ type: 'put', path: [at, `k${n}`], value: (n % 3) + seed }));
}

function apply(store: Store, operations: readonly Operation[]): void {
  store.transact(tx => operations.forEach(each => (each.type === 'put' ? tx.put(each.path, each.value) : tx.delete(each.path))));
}

/** Each path holds what it held when the commit was made, or what the commit makes of it. */
function expectSeen(store: Store, operations: readonly Operation[], saw: readonly (string | undefined)[]): void {
  for (const [index, operation] of operations.entries()) {
    if (store.digestAt(operation.path) === saw[index]) continue;
    const { path } = operation;
    expect(operation.type === 'put' ? store.holds(path, operation.value) : !store.has(path), formatPath(path)).toBe(true);
  }
}

test('a replay of large commits makes each of them as it was, on what it saw, whatever others commit meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.array(fc.option(other, { freq: 4 }), { maxLength: 30 }),
      fc.boolean(),
      async (changes, meanwhile, force) => {
        await using winner = await opened();
        await using loser = await opened();
        for (const each of [winner, loser]) each.put('', { a: members(0), b: members(0), c: {} });
        winner.cut();
        const base = winner.position;
        const saw: (string | undefined)[][] = [];
        const commits = changes.map((each, index): DivergedCommit => {
          const operations = operationsOf(each);
          saw.push(operations.map(({ path }) => loser.digestAt(path)));
          apply(loser, operations);
          return { position: { epoch: 1, epochId: EPOCH_ID, revision: base.revision + 1 + index }, author: 'ann', operations };
        });
        const others = [...meanwhile];
        const breathe = async () => {
          await Promise.resolve();
          const next = others.shift();
          if (next !== undefined && next !== null) winner.put([next.at, next.key], next.value);
        };
        const chosen = new Set(commits.map(({ position }) => position.revision));
        const run = new Replay(winner, { base, commits, chosen, force, dryRun: false }, breathe);
        await run.run();
        expect(run.results.map(({ position }) => position.revision)).toEqual([...chosen]);
        await winner.flush();
        const made = new Map(
          run.results.flatMap(({ as, outcome }, index) => (outcome === 'applied' ? [[as!.revision, index] as const] : [])),
        );
        await using then = await opened();
        for (const frame of await framesOf(winner.journal)) {
          for (const { revision, author, message, operations: written } of decodeChangeSets(frame)) {
            const index = made.get(revision);
            const { operations } = index === undefined ? { operations: written } : commits[index]!;
            if (index !== undefined) {
              expect(author).toBe('ann');
              expect(message).toContain(`replay of 1-${commits[index]!.position.revision}`);
              // After a commit that was applied in spite of conflicts others see what it wrote, and not what they saw once.
              if (!force) expectSeen(then, operations, saw[index]!);
            }
            apply(then, operations);
          }
          expect(then.digest, 'each commit does what its operations say').toBe(frame.header.digest);
        }
        expect(made.size).toBe(run.results.filter(({ outcome }) => outcome === 'applied').length);
      },
    ),
    { numRuns: 40 },
  );
});

test('a replay of a large commit has many pauses, and is made again where others changed its paths meanwhile', async () => {
  await using store = await opened();
  store.put('', { a: members(0), b: 0 });
  store.cut();
  const base = store.position;
  const operations = operationsOf({ at: 'a', kind: 'leaves', seed: 7 });
  const commits = [{ position: { epoch: 1, epochId: EPOCH_ID, revision: base.revision + 1 }, operations }];
  let pauses = 0;
  const breathe = () => {
    pauses++;
    store.put(['a', 'added'], pauses);
    return Promise.resolve();
  };
  const run = new Replay(store, { base, commits, chosen: new Set([base.revision + 1]), force: false, dryRun: false }, breathe);
  await run.run();
  expect(run.results).toMatchObject([{ outcome: 'applied' }]);
  expect(pauses).toBeGreaterThan(3 * (MANY / 256));
  expect(store.get('/a')).toMatchObject({ k7: 8, k8: 9, added: pauses });
});

test('a dry run of a large commit has many pauses', async () => {
  await using store = await opened();
  store.put('', { a: members(0), b: 0 });
  store.cut();
  const base = store.position;
  const commits = ['leaves', 'value', 'leaf'].map((kind, index): DivergedCommit => {
    const position = { epoch: 1, epochId: EPOCH_ID, revision: base.revision + 1 + index };
    return { position, operations: operationsOf({ at: 'a', kind, seed: 7 + index }) };
  });
  let pauses = 0;
  const breathe = () => Promise.resolve(void pauses++);
  const chosen = new Set(commits.map(({ position }) => position.revision));
  const run = new Replay(store, { base, commits, chosen, force: false, dryRun: true }, breathe);
  await run.run();
  expect(run.results).toMatchObject([{ outcome: 'applied' }, { outcome: 'applied' }, { outcome: 'applied' }]);
  expect(pauses).toBeGreaterThan(3 * (MANY / 256));
  expect(store.get('/a')).toEqual(members(0));
});

test('a change that lands while a large commit is found to be there already is a conflict for the commit after it', async () => {
  const outcomes = new Set<string>();
  for (let pause = 1; ; pause++) {
    await using store = await opened();
    store.put('', { a: members(0) });
    store.cut();
    const base = store.position;
    const equal = Array.from({ length: MANY }, (_, n): Operation => ({ type: 'put', path: ['a', `k${n}`], value: n % 5 }));
    const commits = [equal, [{ type: 'put', path: ['a', 'k7'], value: 9 } as const]].map((operations, index): DivergedCommit => {
      return { position: { epoch: 1, epochId: EPOCH_ID, revision: base.revision + 1 + index }, operations };
    });
    let pauses = 0;
    const breathe = async () => {
      await Promise.resolve();
      if (++pauses === pause) store.put(['a', 'k7'], 7);
    };
    const chosen = new Set(commits.map(({ position }) => position.revision));
    const run = new Replay(store, { base, commits, chosen, force: false, dryRun: false }, breathe);
    await run.run();
    if (pauses < pause) break;
    outcomes.add(run.results[0]!.outcome);
    expect(run.results[1]).toMatchObject({ outcome: 'conflict', conflicts: [{ path: '/a/k7', reason: 'changed' }] });
    expect(store.get('/a/k7')).toBe(7);
  }
  expect(outcomes).toEqual(new Set(['conflict', 'equal']));
});

test('what a replay committed itself is no conflict for a large commit, whenever others commit elsewhere', async () => {
  for (let pause = 1, calls = Infinity; calls >= pause; pause++) {
    await using store = await opened();
    store.put('', { a: members(0), c: {} });
    store.cut();
    const base = store.position;
    const kinds = ['leaf', 'leaves', 'leaf', 'value', 'leaf'];
    const commits = kinds.map((kind, index): DivergedCommit => {
      const position = { epoch: 1, epochId: EPOCH_ID, revision: base.revision + 1 + index };
      return { position, operations: operationsOf({ at: 'a', kind, seed: 10 * index + 3 }) };
    });
    calls = 0;
    const breathe = () => (++calls === pause ? Promise.resolve().then(() => void store.put(['c', 'x'], 1)) : undefined);
    const chosen = new Set(commits.map(({ position }) => position.revision));
    const run = new Replay(store, { base, commits, chosen, force: false, dryRun: false }, breathe);
    await run.run();
    expect(run.results).toMatchObject(kinds.map(() => ({ outcome: 'applied', conflicts: [] })));
    expect(store.get('/a')).toEqual({ ...(members(33) as object), k7: 43 });
  }
});
