import { type Path, sameValue, type Store, type Transaction, type Value } from '@evertree/core';
import { HistoryQueries, IndexBuilder, JournalIndex } from '@evertree/history';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaultDisk } from '../support/fault-disk.ts';
import { applyPlainly, HistoryOracle, isPrefix, leafPaths, valueIn } from '../support/history-oracle.ts';
import { systemClock } from '../support/host.ts';
import { NaiveIndex } from '../support/naive-index.ts';
import { diskStore } from '../support/stores.ts';

const KEYS = ['a', 'b', '', '/', '~', '__proto__', 'constructor', '0', '1', '🌲', 'é'];
const key = fc.oneof({ weight: 4, arbitrary: fc.constantFrom('a', 'b', '0') }, { weight: 1, arbitrary: fc.constantFrom(...KEYS) });
const path = fc.array(key, { maxLength: 4 });
const leaf = fc.oneof(fc.constant(null), fc.boolean(), fc.integer({ min: 0, max: 3 }), fc.constantFrom('x', '🌲', ''));
const { value } = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(entries => Object.fromEntries(entries) as Value),
    fc.constant({}),
    fc.constant(Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, n])) as Value),
  ),
}));

type Write = (tx: Transaction) => void;
const write: fc.Arbitrary<Write> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(path, value).map(
      ([at, put]) =>
        (tx: Transaction) =>
          tx.put(at, put),
    ),
  },
  { weight: 4, arbitrary: path.map(at => (tx: Transaction) => tx.delete(at)) },
  {
    weight: 2,
    arbitrary: fc.tuple(path, value).map(
      ([at, merged]) =>
        (tx: Transaction) =>
          tx.merge(at, merged),
    ),
  },
);

type Step = (store: Store) => Promise<void> | void;
const author = fc.constantFrom(undefined, 'ann', 'bob');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.tuple(fc.array(write, { minLength: 1, maxLength: 3 }), author).map(([writes, by]): Step => store => {
      try {
        store.transact(tx => writes.forEach(each => each(tx)), by === undefined ? {} : { author: by, message: `by ${by}` });
      } catch (error) {
        // A path through a leaf: nothing changed.
        expect(error).toMatchObject({ code: expect.stringMatching(/PATH_INVALID|VALUE_INVALID/) });
      }
    }),
  },
  { weight: 6, arbitrary: fc.constant<Step>(store => store.cut()) },
  { weight: 2, arbitrary: fc.constant<Step>(async store => void (await store.saveSnapshot())) },
);
const steps = fc.array(step, { minLength: 1, maxLength: 40 });

/** Where the answers come from; each has its own way to go wrong. */
type Source = 'journal' | 'naive index' | 'shrinking index' | 'index' | 'torn index';
const SOURCES: readonly Source[] = ['journal', 'naive index', 'shrinking index', 'index', 'torn index'];

/** Runs the steps, and hands over a store, its questions and what the answers have to be. */
async function withHistory(
  source: Source,
  made: readonly Step[],
  check: (queries: HistoryQueries, oracle: HistoryOracle, store: Store) => Promise<void>,
): Promise<void> {
  const disk = new FaultDisk();
  const encoding = made.length % 3 === 0 ? 'json' : 'binary';
  const { store } = await diskStore(disk, { encoding, journalOptions: { retentionMaxBytes: 1 << 30, segmentBytes: 4_096 } });
  await using _ = store;
  for (const each of made) await each(store);
  const oracle = await HistoryOracle.of(store);
  if (source === 'index' || source === 'torn index') {
    await using index = openIndex(disk, store);
    await index.caughtUp();
    expect(index.upTo).toBe(oracle.last);
    if (source === 'index') {
      await check(new HistoryQueries({ store, index }), oracle, store);
    } else {
      await using torn = await tornIndex(disk, store, index, oracle.last);
      await check(new HistoryQueries({ store, index: torn }), oracle, store);
    }
    return;
  }
  const index = source === 'journal' ? undefined : new NaiveIndex(oracle, oracle.last % 5, oracle.last - (oracle.last % 3));
  if (index !== undefined && source === 'shrinking index') index.answers = oracle.last % 7;
  await check(new HistoryQueries({ store, index }), oracle, store);
}

function openIndex(disk: FaultDisk, { journal }: Store): JournalIndex {
  const options = { disk, log: journal.log, clock: systemClock, report: () => undefined };
  return new JournalIndex({ ...options, build: events => new IndexBuilder({ disk, breathe: () => undefined }, events) });
}

/** An index whose files were flipped, cut or lost, opened again. */
async function tornIndex(disk: FaultDisk, store: Store, index: JournalIndex, seed: number): Promise<JournalIndex> {
  const { files } = index;
  await index.close();
  for (const [at, file] of files.entries()) {
    if ((seed + at) % 3 === 0) disk.erase(file);
    else if ((seed + at) % 3 === 1) disk.overwrite(file, bytes => bytes.subarray(0, Math.floor(bytes.length / 2)));
    else disk.overwrite(file, bytes => flipped(bytes, (seed * 7_919) % bytes.length));
  }
  return openIndex(disk, store);
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 0x40;
  return copy;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

function expectSame(found: Value | undefined, expected: Value | undefined): void {
  if (!sameValue(found, expected)) expect(found).toEqual(expected);
}

describe.each(SOURCES)('the questions to a random history, answered from the %s,', source => {
  it('read every state as it was: whole, and at a path', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(steps, path, async (made, at) => {
        await withHistory(source, made, async (queries, oracle, store) => {
          for (let revision = 0; revision <= oracle.last; revision++) {
            const position = oracle.exact(revision);
            using then = await queries.at(position);
            using rebuilt = await new HistoryQueries({ store }).at(position);
            expect(then.header).toEqual({ ...rebuilt.header, position, digest: then.digestAt('') });
            expectSame(then.get(''), oracle.states[revision]);
            const { value: found, digest } = await queries.read(at, position);
            expectSame(found, oracle.valueAt(at, revision));
            expect(digest).toBe(then.digestAt(at));
          }
        });
      }),
      { numRuns: 30 },
    );
  });

  it('list the changes of a path as a filter of the log does, with what was before and after', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(steps, path, author, async (made, at, by) => {
        await withHistory(source, made, async (queries, oracle) => {
          const expected = oracle.concerning(at).filter(({ changeSet }) => by === undefined || changeSet.author === by);
          const filter = { values: true, author: by };
          const newest = await all(queries.changes(at, filter));
          const oldest = await all(queries.changes(at, { ...filter, order: 'oldest' }));
          expect(newest.toReversed()).toEqual(oldest);
          expect(oldest.map(({ position }) => position)).toEqual(expected.map(({ position }) => position));
          for (const [index, { position, operations, author: found, time }] of oldest.entries()) {
            const { changeSet } = expected[index]!;
            expect({ found, time }).toEqual({ found: changeSet.author, time: changeSet.time });
            const wanted = oracle.operationsAt(changeSet, at);
            expect(operations.map(each => [each.kind, each.path])).toEqual(wanted.map(each => [each.type, each.path]));
            for (const { path: own, above, before, after } of operations) {
              const of = above ? at : own;
              expectSame(before, oracle.valueAt(of, position.revision - 1));
              expectSame(after, oracle.valueAt(of, position.revision));
            }
          }
        });
      }),
      { numRuns: 30 },
    );
  });

  it('give the differences that make one state of another', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(steps, path, fc.nat(), fc.nat(), async (made, at, one, other) => {
        await withHistory(source, made, async (queries, oracle) => {
          const [from, to] = [one % (oracle.last + 1), other % (oracle.last + 1)];
          const differences = await all(queries.diff(oracle.exact(from), oracle.exact(to), at));
          const paths = differences.map(each => each.path);
          expect(paths.some((upper, index) => paths.some((lower, place) => place !== index && isPrefix(upper, lower)))).toBe(false);
          let subtree: Value | undefined = oracle.valueAt(at, from);
          for (const { path: place, kind, before, after } of differences) {
            expectSame(before, oracle.valueAt(place, from));
            expect(kind).toBe(after === undefined ? 'delete' : 'put');
            expect(sameValue(before, after)).toBe(false);
            subtree = changed(subtree, place.slice(at.length), after);
          }
          expectSame(subtree, oracle.valueAt(at, to));
        });
      }),
      { numRuns: 50 },
    );
  });

  it('name the last writer of each leaf', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(steps, path, fc.nat(), async (made, at, place) => {
        await withHistory(source, made, async (queries, oracle) => {
          const revision = place % (oracle.last + 1);
          const present = oracle.valueAt(at, revision);
          if (present === undefined) {
            await expect(all(queries.blame(at, oracle.exact(revision)))).rejects.toMatchObject({ code: 'NOT_FOUND' });
            return;
          }
          const blamed = await all(queries.blame(at, oracle.exact(revision)));
          expect(inOrder(blamed.map(each => each.path))).toEqual(inOrder(leafPaths(present, at)));
          const writers = oracle.writersAt([], revision);
          for (const { path: own, position, kind } of blamed) {
            const writer = [...writers].find(([known]) => isPrefix(JSON.parse(known) as Path, own));
            const isInside = writer !== undefined && (JSON.parse(writer[0]) as Path).length < own.length;
            if (own.length === 0 && writer === undefined) expect(kind).toBe('before');
            else
              expect({ revision: position.revision, kind }).toEqual({
                revision: writer![1].revision,
                kind: isInside ? 'above' : writer![1].kind,
              });
          }
        });
      }),
      { numRuns: 50 },
    );
  });

  it('find what was deleted, and what came to hold a value, with the moment before', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(steps, path, leaf, async (made, at, wanted) => {
        await withHistory(source, made, async (queries, oracle) => {
          const deleted = await all(queries.find({ path: at, deleted: true }));
          for (const { path: gone, before, change } of deleted) {
            expect(before.revision).toBe(change.position.revision - 1);
            expect(oracle.valueAt(gone, before.revision)).toBeDefined();
            expect(oracle.valueAt(gone, change.position.revision)).toBeUndefined();
          }
          const held = await all(queries.find({ path: at, where: { operator: '=', value: wanted } }));
          for (let revision = 1; revision <= oracle.last; revision++) {
            const then = deleted.filter(({ change }) => change.position.revision === revision).map(each => each.path);
            expect(inOrder(then)).toEqual(inOrder(topmostGone(oracle.valueAt(at, revision - 1), oracle.valueAt(at, revision), at)));
            const now = held.filter(({ change }) => change.position.revision === revision).map(each => each.path);
            const expected = leafPaths(oracle.valueAt(at, revision) ?? {}, at).filter(
              place => sameValue(oracle.valueAt(place, revision), wanted) && !sameValue(oracle.valueAt(place, revision - 1), wanted),
            );
            expect(inOrder(now)).toEqual(inOrder(expected));
          }
        });
      }),
      { numRuns: 30 },
    );
  });

  it('put a subtree back to what it was', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(steps, path, fc.nat(), async (made, at, place) => {
        await withHistory(source, made, async (queries, oracle, store) => {
          const revision = place % (oracle.last + 1);
          const before = store.get('');
          try {
            const reversal = await queries.revertPath(at, oracle.exact(revision));
            expect(reversal.conflicts).toEqual([]);
            await reversal.commit({ author: 'undo' });
          } catch (error) {
            expect(error).toMatchObject({ code: 'PATH_INVALID' });
            expect(store.get('')).toEqual(before);
            return;
          }
          expectSame(store.get(at), oracle.valueAt(at, revision));
          // A put makes missing objects above it.
          if (valueIn(before, at.slice(0, -1)) !== undefined)
            expectSame(changed(before, at, undefined), changed(store.get(''), at, undefined));
        });
      }),
      { numRuns: 30 },
    );
  });
});

/** Paths as texts, each once, in one order for all. */
function inOrder(paths: readonly Path[]): string[] {
  return paths.map(each => JSON.stringify(each)).toSorted((a, b) => (a < b ? -1 : 1));
}

/** A subtree with another value at a path below its root; undefined for none. */
function changed(root: Value | undefined, at: Path, after: Value | undefined): Value | undefined {
  if (at.length === 0) return after;
  if (after !== undefined) return applyPlainly(root ?? {}, { type: 'put', path: at, value: after });
  return valueIn(root, at) === undefined || Array.isArray(valueIn(root, at.slice(0, -1)))
    ? root
    : applyPlainly(root!, { type: 'delete', path: at });
}

function topmostGone(before: Value | undefined, after: Value | undefined, at: Path): Path[] {
  if (before === undefined) return [];
  if (after === undefined) return [at];
  if (typeof before !== 'object' || before === null || Array.isArray(before)) return [];
  return Object.keys(before).flatMap(name => {
    const earlier = valueIn(before, [name]);
    return topmostGone(earlier, valueIn(after, [name]), [...at, name]);
  });
}
