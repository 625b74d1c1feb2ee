import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allowErrors } from '../../../../test/support/reports.ts';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import type { Batch } from '../listeners/batch.ts';
import { EvertreeError } from '../errors.ts';
import type { PreparedTransaction } from './prepared-transaction.ts';
import { formatPath } from '../tree/path.ts';
import type { Store } from '../store/store.ts';
import type { Transaction } from './transaction.ts';

/** Objects that are narrow, wide, and wide enough to remember children. */
const SIZES = [3, 31, 600];
/** The last two have one hash. */
const KEYS = ['', '__proto__', 'constructor', 'k1', 'k2', 'k30', 'new1', 'new2', 'a/b~', 'c412789', 'c649192'];

const PATTERNS = ['', '/w600', '/*/*', '/w31/k1', '/*/k30/*'];

type Write = { readonly type: 'put' | 'merge' | 'delete' | 'object' | 'itself'; readonly path: readonly string[]; readonly n: number };

const top = fc.constantFrom(...SIZES.map(size => `w${size}`));
const key = fc.constantFrom(...KEYS);
const path = fc.oneof(
  { weight: 1, arbitrary: fc.tuple(top) },
  { weight: 6, arbitrary: fc.tuple(top, key) },
  { weight: 6, arbitrary: fc.tuple(top, key, key) },
);
const write: fc.Arbitrary<Write> = fc.record({
  type: fc.constantFrom('put' as const, 'merge' as const, 'delete' as const, 'object' as const, 'itself' as const),
  path,
  n: fc.integer({ min: 0, max: 3 }),
});

/**
 * Begins a transaction; goes on with one; commits one; commits something else; holds a snapshot for a while; begins or ends
 * to listen.
 */
const action = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('begin' as const), at: top, writes: fc.array(write, { minLength: 1, maxLength: 5 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('step' as const), which: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('commit' as const), which: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('other' as const), write }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('fail' as const, 'pin' as const, 'cut' as const, 'turn' as const), write }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('listen' as const), pattern: fc.constantFrom(...PATTERNS), throws: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(3) }) },
);

function make(tx: Transaction, { type, path: at, n }: Write): void {
  if (type === 'delete') tx.delete(at);
  else if (type === 'merge') tx.merge(at, { k1: n, new1: null, ['__proto__']: { '': n }, new2: [n] });
  else if (type === 'object') tx.put(at, Object.fromEntries(Array.from({ length: 40 * n }, (_, m) => [`k${m}`, { m }])));
  else if (type === 'put') tx.put(at, n);
  else tx.put(at, tx.get(at) ?? null);
}

function codeOf(commit: () => unknown): string {
  try {
    commit();
    return 'made';
  } catch (error) {
    if (error instanceof EvertreeError) return error.code;
    throw error;
  }
}

function filled(store: Store): void {
  store.transact(tx => {
    for (const size of SIZES) {
      tx.put(`/w${size}`, Object.fromEntries(Array.from({ length: size }, (_, n) => [`k${n}`, n % 3 === 0 ? n : { v: n }])));
    }
  });
}

interface Recording {
  readonly heard: readonly unknown[];
  readonly listener: Disposable;
}

function record(store: Store, pattern: string, throws: boolean): Recording {
  const heard: unknown[] = [];
  const tell = ({ initial, position, merged, changes }: Batch): void => {
    const told = changes.map(({ path: at, type, before, after, operations }) => ({ at, type, before, after, operations }));
    heard.push({ initial, revision: position.revision, merged, told: told.toSorted((a, b) => (a.at < b.at ? -1 : 1)) });
    if (throws) throw new Error('a listener that throws');
  };
  return { heard, listener: store.listen(pattern, tell) };
}

/** Long enough for each listener to be told. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await new Promise(next => setImmediate(next));
}

interface Begun {
  readonly steps: Generator<void, PreparedTransaction>;
  readonly writes: readonly Write[];
  ready: PreparedTransaction | undefined;
}

test('transactions that are prepared side by side do, say and tell what they do in one go, in the order of their commits', async () => {
  allowErrors('listener-threw');
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { minLength: 5, maxLength: 40 }),
      fc.constantFrom('binary' as const, 'json' as const),
      async (actions, encoding) => {
        await using store = (await memoryStore({ encoding })).store;
        await using model = (await memoryStore()).store;
        await using secondary = (await memoryStore({ role: 'secondary' })).store;
        const both = [store, model];
        both.forEach(filled);
        for (const each of both) each.guard('/*/k2', { safeParse: found => ({ success: found !== 2 }) });
        const recordings: Recording[][] = [];
        const recorded = (which: number): unknown[] => recordings.map(pair => pair[which]!.heard);
        const begun: Begun[] = [];
        const pins: { readonly snapshot: ReturnType<Store['snapshot']>; readonly digest: string }[] = [];
        for (const each of actions) {
          if (each.do === 'begin') {
            const writes = each.writes.map(other => ({ ...other, path: [each.at, ...other.path.slice(1)] }));
            const steps = store.prepare(formatPath([each.at]), function* (tx) {
              for (const one of writes) {
                make(tx, one);
                yield;
              }
            });
            begun.push({ steps, writes, ready: undefined });
          } else if (each.do === 'step') {
            const one = begun[each.which];
            if (one === undefined || one.ready !== undefined) continue;
            const step = one.steps.next();
            if (step.done === true) one.ready = step.value;
          } else if (each.do === 'commit') {
            const one = begun[each.which];
            if (one === undefined) continue;
            begun.splice(each.which, 1);
            while (one.ready === undefined) {
              const step = one.steps.next();
              if (step.done === true) one.ready = step.value;
            }
            const { ready, writes } = one;
            const code = codeOf(() => store.commitPrepared(ready));
            expect(code).toBe(codeOf(() => model.transact(tx => writes.forEach(other => make(tx, other)))));
          } else if (each.do === 'other') {
            const codes = both.map(one => codeOf(() => one.transact(tx => make(tx, each.write))));
            expect(codes[0]).toBe(codes[1]);
          } else if (each.do === 'fail') {
            for (const one of both) {
              const failing = (): unknown =>
                one.transact(tx => {
                  make(tx, each.write);
                  throw new EvertreeError('TEST_FAILED', 'given up');
                });
              codeOf(failing);
            }
          } else if (each.do === 'pin') {
            pins.push({ snapshot: store.snapshot(), digest: store.digest });
          } else if (each.do === 'listen') {
            recordings.push(both.map(one => record(one, each.pattern, each.throws)));
          } else if (each.do === 'end') {
            // What is under way would be told at the one store, and not yet at the other.
            await settled();
            recordings[each.which]?.forEach(({ listener }) => listener[Symbol.dispose]());
          } else if (each.do === 'cut') {
            store.cut();
          } else {
            await new Promise(next => setImmediate(next));
          }
          expect(store.digest).toBe(model.digest);
          expect(store.position.revision).toBe(model.position.revision);
        }
        expect(store.get('')).toEqual(model.get(''));
        for (const { snapshot, digest } of pins) {
          expect(snapshot.digestAt([])).toBe(digest);
          snapshot[Symbol.dispose]();
        }
        await Promise.all(both.map(each => each.flush()));
        for (const frame of await framesOf(store.journal)) secondary.applyFrame(frame);
        expect(secondary.get('')).toEqual(model.get(''));
        expect(secondary.digest).toBe(model.digest);
        await settled();
        expect(recorded(0)).toEqual(recorded(1));
      },
    ),
    { numRuns: 200 },
  );
});
