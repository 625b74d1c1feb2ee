import { EvertreeError, type Path, type Position, type Store, type Transaction, type Value } from '@evertree/core';
import { HistoryQueries, type Reversal } from '@evertree/history';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { applyPlainly, HistoryOracle, valueIn } from '../support/history-oracle.ts';
import { systemClock } from '../support/host.ts';
import { diskStore, framesOf } from '../support/stores.ts';

/** Paths of which a reversal looks at a part between two pauses. */
const MANY = 200;

interface Write {
  readonly at: Path;
  /** Undefined: what is there is deleted. */
  readonly value: Value | undefined;
}

function members(seed: number): Value {
  return Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, n + seed]));
}

function named(prefix: string, length: number, member: (index: number) => Value): Value {
  return Object.fromEntries(Array.from({ length }, (_, index) => [`${prefix}${index}`, member(index)]));
}

const key = fc.constantFrom('a', 'b', 'c');
const many = fc.nat(3).map(seed => Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`k${n}`, (n % 7) + seed])) as Value);
const value: fc.Arbitrary<Value | undefined> = fc.oneof(
  fc.constantFrom<Value | undefined>(undefined, 0, 1, 'x', null, [1], {}),
  many,
  fc.record({ a: fc.nat(2), b: many }),
);
const write: fc.Arbitrary<Write> = fc.record({ at: fc.array(key, { minLength: 1, maxLength: 3 }), value });

function make(tx: Transaction, { at, value: written }: Write): void {
  if (written === undefined) tx.delete(at);
  else tx.put(at, written);
}

/** A path through a leaf is refused: nothing changes then. */
function commitAll(store: Store, writes: readonly Write[]): void {
  try {
    store.transact(tx => writes.forEach(each => make(tx, each)));
  } catch (error) {
    if (!(error instanceof EvertreeError) || error.code !== 'PATH_INVALID') throw error;
  }
}

class Opened {
  readonly store: Store;
  readonly queries: HistoryQueries;
  /** Is called in each pause of long work. */
  meanwhile: () => void = () => undefined;

  private constructor(store: Store) {
    this.store = store;
    this.queries = new HistoryQueries({ store });
  }

  /** With a clock on which every loop has had its share of the turn after each step. */
  static async on(disk = new FaultDisk()): Promise<Opened> {
    let now = 0;
    const made: { opened?: Opened } = {};
    const soon = (task: () => void): void =>
      systemClock.soon(() => {
        made.opened?.meanwhile();
        task();
      });
    const { store } = await diskStore(disk, { clock: { ...systemClock, soon, monotonic: () => (now += 1_000) } });
    return (made.opened = new Opened(store));
  }

  /** Others commit one of these in each pause. */
  commitMeanwhile(writes: readonly (Write | null)[]): void {
    const others = [...writes];
    this.meanwhile = () => {
      const other = others.shift();
      if (other !== undefined && other !== null) commitAll(this.store, [other]);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.meanwhile = () => undefined;
    await this.store.close();
  }
}

/** Makes a reversal while others commit, and checks that its commit is what it tells, and nothing else. */
async function checkedCommit(store: Store, reversal: Reversal, conflicts: 'overwrite' | 'skip'): Promise<Position | undefined> {
  let position: Position;
  try {
    const commit = await reversal.commit({ conflicts, author: 'undo' });
    if (!commit.changed) return undefined;
    ({ position } = commit);
  } catch (error) {
    // Others changed its paths all the time, or put something there that is no object.
    expect((error as EvertreeError).code).toMatch(/TEST_FAILED|PATH_INVALID/);
    return undefined;
  }
  const { states, commits } = await HistoryOracle.of(store);
  expect(commits[position.revision - 1]!.changeSet.author).toBe('undo');
  const before = states[position.revision - 1];
  const chosen = [...reversal.differences, ...(conflicts === 'skip' ? [] : reversal.conflicts.map(({ difference }) => difference))];
  let expected: Value = before ?? {};
  for (const { path, before: told, after } of chosen) {
    expect(told).toEqual(valueIn(before, path));
    expected = applyPlainly(expected, after === undefined ? { type: 'delete', path } : { type: 'put', path, value: after });
  }
  expect(states[position.revision]).toEqual(expected);
  return position;
}

describe('a reversal that is prepared while others commit', () => {
  it('sets a path back to what it was, and changes nothing of what came meanwhile beside it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(write, { minLength: 1, maxLength: 2 }), { minLength: 2, maxLength: 5 }),
        fc.array(key, { maxLength: 2 }),
        fc.nat(),
        fc.array(fc.option(write, { freq: 3 }), { maxLength: 12 }),
        async (made, at, place, meanwhile) => {
          await using opened = await Opened.on();
          const { store, queries } = opened;
          store.put('/first', true);
          for (const writes of made) commitAll(store, writes);
          await store.flush();
          const { states } = await HistoryOracle.of(store);
          const revision = 1 + (place % (states.length - 1));
          const { position: then } = await queries.resolve({ epoch: store.position.epoch, revision });
          opened.commitMeanwhile(meanwhile);
          const reversal = await queries.revertPath(at, then).catch((error: unknown) => {
            expect(error).toMatchObject({ code: 'PATH_INVALID' });
          });
          const position = reversal === undefined ? undefined : await checkedCommit(store, reversal, 'skip');
          if (position === undefined) return;
          const { states: after } = await HistoryOracle.of(store);
          expect(valueIn(after[position.revision], at)).toEqual(valueIn(states[revision], at));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('undoes a commit as it tells, whatever came meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(write, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 4 }),
        fc.nat(),
        fc.constantFrom('overwrite' as const, 'skip' as const),
        fc.array(fc.option(write, { freq: 3 }), { maxLength: 12 }),
        async (made, place, conflicts, meanwhile) => {
          await using opened = await Opened.on();
          const { store, queries } = opened;
          for (const writes of [[{ at: ['a'], value: {} }], ...made]) commitAll(store, writes);
          await store.flush();
          const { commits } = await HistoryOracle.of(store);
          const { position } = commits[1 + (place % (commits.length - 1))]!;
          opened.commitMeanwhile(meanwhile);
          await checkedCommit(store, await queries.revertCommit(position), conflicts);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is planned again when a commit in the same path lands, and lets the event loop have many turns', async () => {
    await using opened = await Opened.on();
    const { store, queries } = opened;
    let pauses = 0;
    store.put('/a', members(0));
    const then = store.position;
    const mistake = store.merge('/a', members(1));
    await store.flush();
    const reversal = await queries.revertPath('/a', then);
    expect(reversal.differences).toHaveLength(10_000);
    opened.meanwhile = () => {
      if (++pauses === 1) store.put('/a/added', 7);
    };
    const commit = await reversal.commit();
    expect(pauses).toBeGreaterThan(2 * (10_000 / 64));
    expect(store.get('/a')).toEqual(members(0));
    await (await queries.revertCommit(commit.position)).commit();
    expect(store.get('/a')).toEqual({ ...(members(1) as object), added: 7 });
    await (await queries.revertCommit(mistake.position)).commit({ conflicts: 'overwrite' });
    expect(store.get('/a')).toEqual({ ...(members(0) as object), added: 7 });
    await store.flush();
    expect((await framesOf(store.journal)).slice(-3).map(({ header }) => header.count)).toEqual([1, 1, 1]);
  });

  it('is planned with a rest at each difference, also where small objects differ in all of their keys', async () => {
    const [objects, keys] = [40, 25];
    const small = (seed: number) => named('o', objects, () => named('k', keys, index => index + seed));
    await using opened = await Opened.on();
    const { store, queries } = opened;
    store.put('/a', small(0));
    const then = store.position;
    const mistake = store.put('/a', small(1));
    let pauses = 0;
    opened.meanwhile = () => void pauses++;
    // No object has as many keys as are compared between two pauses of its own.
    for (const plan of [() => queries.revertPath('/a', then), () => queries.revertCommit(mistake.position)]) {
      pauses = 0;
      const { differences } = await plan();
      expect(differences).toHaveLength(objects * keys);
      expect(pauses).toBeGreaterThanOrEqual(objects * keys);
    }
  });

  it('is made in one step where others commit beside its paths all the time', async () => {
    await using opened = await Opened.on();
    const { store, queries } = opened;
    store.put('', { a: 1, b: 1, beside: 0 });
    const mistake = store.transact(tx => {
      tx.put('/a', 2);
      tx.put('/b', 2);
    });
    const reversal = await queries.revertCommit(mistake.position);
    let others = 0;
    opened.meanwhile = () => void store.put('/beside', ++others);
    expect((await reversal.commit()).changed).toBe(true);
    expect(store.get('')).toMatchObject({ a: 1, b: 1 });
  });

  it('is there whole or not at all after the process died at any step of it', async () => {
    const before = Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`k${n}`, n]));
    const after = Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`k${n}`, -n - 1]));
    const found = new Set<string>();
    for (const steps of [0, 1, 2, 3, 5, 8, 13, 1_000]) {
      const disk = new FaultDisk();
      const { store, queries } = await Opened.on(disk);
      store.put('/a', before);
      const then = store.position;
      store.put('/a', after);
      await store.flush();
      const reversal = await queries.revertPath('/a', then);
      disk.dieAfter(steps);
      const isDurable = await reversal.commit().then(
        ({ durable }) =>
          durable.then(
            () => true,
            () => false,
          ),
        () => false,
      );
      await store.close().catch(() => undefined);
      const { store: again } = await diskStore(disk.crash());
      const isBack = again.get('/a/k7') === before['k7'];
      expect(again.get('/a')).toEqual(isBack ? before : after);
      if (isDurable) expect(isBack).toBe(true);
      found.add(`${isDurable} ${isBack}`);
      await again.close();
    }
    expect(found).toContain('false false');
    expect(found).toContain('true true');
  });
});
