import fc from 'fast-check';
import { expect, test } from 'vitest';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { prepared } from '../../test/prepared.ts';
import { Scene } from '../../test/scene.ts';
import { importValue } from '../tree/content.ts';
import { EvertreeError } from '../errors.ts';
import type { TreeNode } from '../tree/node.ts';
import { finishSteps } from '../turn.ts';
import { prepareTransaction } from './prepared-transaction.ts';
import { formatPath } from '../tree/path.ts';
import type { Transaction, TransactionSteps } from './transaction.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

const start = { at: { a: { b: 1 }, list: [{ n: 1 }, { n: 2 }], text: 'x' } };
const add = (path: string, value: unknown): object => ({ op: 'add', path, value });

test.each<[string, unknown[]]>([
  ['adds and replaces objects and arrays', [add('/c', { d: [1] }), { op: 'replace', path: '/list', value: [{ n: 3 }] }, add('/a/e', [])]],
  ['edits what it added', [add('/c', { d: { e: 1 } }), add('/c/d/f', { g: 2 }), { op: 'remove', path: '/c/d/e' }]],
  [
    'copies and moves what it added',
    [add('/c', { d: 1 }), { op: 'copy', from: '/c', path: '/c2' }, { op: 'move', from: '/c', path: '/c3' }],
  ],
  ['adds to an array, and inside one', [add('/list/-', { n: 3 }), add('/list/0/m', { deep: [1] }), add('/list/1', [7])]],
  ['replaces the whole', [add('', { whole: true })]],
  ['tests an object', [{ op: 'test', path: '/a', value: { b: 1 } }, add('/c', {})]],
  ['fails a test before a wrong value', [{ op: 'test', path: '/a', value: { b: 2 } }, add('/c', { d: '\ud800' })]],
  ['has a wrong value', [add('/b', 1), add('/c', { d: ['\ud800'] })]],
  ['has a parent missing', [add('/c/d/e', { f: 1 })]],
  ['goes through a text', [add('/text/x', {})]],
  ['has what is no pointer', [add('c', {})]],
  ['has what is no operation', [7, { op: 'add' }, add('/c', {})]],
])('a prepared patch does and says what the patch does and says: %s', async (_name, operations) => {
  const results = [];
  for (const ahead of [false, true]) {
    await using store = (await memoryStore()).store;
    store.put('', start);
    try {
      if (ahead) store.commitPrepared(prepared(store, '/at', tx => tx.patchSteps('/at', operations)));
      else store.patch('/at', operations);
      results.push([store.get(''), store.digestAt([])]);
    } catch (error) {
      if (!(error instanceof EvertreeError)) throw error;
      results.push([error.code, error.message, error.details, store.get('')]);
    }
  }
  expect(results[1]).toEqual(results[0]);
});

type Write = { readonly type: 'put' | 'merge' | 'delete'; readonly path: readonly string[]; readonly value: Value };

const key = fc.constantFrom('a', 'b', 'c');
const { value, members } = fc.letrec<{ value: Value; members: Value }>(tie => ({
  value: fc.oneof({ weight: 3, arbitrary: fc.constantFrom<Value>(0, 1, 'x', null, false, [1], {}) }, tie('members')),
  members: fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
}));
const write: fc.Arbitrary<Write> = fc.record({
  type: fc.constantFrom('put' as const, 'merge' as const, 'delete' as const),
  path: fc.array(key, { minLength: 1, maxLength: 3 }),
  value: fc.oneof(value, members),
});
/** A transaction at a path, and what others commit in its pauses. */
const round = fc.record({
  at: fc.array(key, { maxLength: 2 }),
  writes: fc.array(write, { minLength: 1, maxLength: 6 }),
  meanwhile: fc.array(fc.option(write, { freq: 1 }), { maxLength: 4 }),
  listens: fc.boolean(),
});

function make(tx: Transaction, { type, path, value: written }: Write): void {
  if (type === 'delete') tx.delete(path);
  else tx[type](path, written);
}

function below(at: readonly string[], { path, ...rest }: Write): Write {
  return { ...rest, path: [...at, ...path] };
}

/** Whether it was committed. */
function tried(commit: () => unknown): boolean {
  try {
    commit();
    return true;
  } catch (error) {
    if (error instanceof EvertreeError) return false;
    throw error;
  }
}

test.each(['binary', 'json'] as const)(
  'a transaction that is prepared while the tree changes does what it does in one go after these changes (%s)',
  async encoding => {
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async rounds => {
        await using store = (await memoryStore({ encoding })).store;
        await using model = (await memoryStore()).store;
        await using secondary = (await memoryStore({ role: 'secondary' })).store;
        store.put('/a', { a: { b: 1 } });
        model.put('/a', { a: { b: 1 } });
        for (const { at, writes, meanwhile, listens } of rounds) {
          using _ = listens ? store.listen('/a', () => undefined) : undefined;
          using snapshot = store.snapshot();
          const before = JSON.stringify(store.get(''));
          const steps: TransactionSteps = function* (tx) {
            for (const each of writes) {
              make(tx, below(at, each));
              yield;
            }
          };
          const others = [...meanwhile];
          const ready = prepared(store, formatPath(at), steps, () => {
            const other = others.shift();
            if (other === undefined || other === null) return;
            const made = [store, model].map(each => tried(() => each.transact(tx => make(tx, other))));
            expect(made[0]).toBe(made[1]);
          });
          const made = tried(() => store.commitPrepared(ready));
          expect(made).toBe(tried(() => model.transact(tx => writes.forEach(each => make(tx, below(at, each))))));
          expect(store.get('')).toEqual(model.get(''));
          expect(store.digest).toBe(model.digest);
          expect(snapshot.digestAt([])).toBe(digestOfValue(JSON.parse(before)));
        }
        await store.flush();
        for (const frame of await framesOf(store.journal)) secondary.applyFrame(frame);
        expect(secondary.get('')).toEqual(model.get(''));
        expect(secondary.digest).toBe(model.digest);
      }),
      { numRuns: 500 },
    );
  },
);

function digestOfValue(content: Value): string {
  const tree = new Tree();
  tree.put([], importValue(content, [], tree.generation));
  return tree.digest();
}

test('a prepared transaction is not current once something at or below its path changed, and is for all other changes', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { b: { c: 1 } }, d: { e: 1 } });
  const ready = prepared(store, '/a/b', function* (tx) {
    yield* tx.mergeSteps('/a/b', { c: 2, f: 3 });
  });
  store.put('/d/e', 2);
  store.put('/a/x', 2);
  expect(store.isCurrent(ready)).toBe(true);
  store.put('/a/b/z', 1);
  expect(store.isCurrent(ready)).toBe(false);
  expect(store.commitPrepared(ready).changed).toBe(true);
  expect(store.get('')).toEqual({ a: { b: { c: 2, f: 3, z: 1 }, x: 2 }, d: { e: 2 } });
});

test('a prepared transaction is refused a second time, and where it leaves its path', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { b: 1 }, c: { d: 1 } });
  const own = prepared(store, '/a', function* (tx) {
    yield* tx.putSteps('/a/b', 2);
  });
  store.commitPrepared(own);
  const stray = prepared(store, '/a', function* (tx) {
    yield* tx.putSteps('/c/d', 2);
  });
  expect(() => store.commitPrepared(stray)).toThrow(expect.objectContaining({ code: 'TRANSACTION_INVALID' }));
  expect(store.get('')).toEqual({ a: { b: 2 }, c: { d: 1 } });
});

test('a prepared transaction that was committed is not committed again, whether or not it would have to run again', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { n: 1 } });
  const more = prepared(store, '/a', function* (tx) {
    yield* tx.putSteps('/a/n', (tx.get<number>('/a/n') ?? 0) + 1);
  });
  const same = prepared(store, '/a', function* (tx) {
    yield* tx.putSteps('/a/n', 1);
  });
  for (const [ready, changed] of [
    [same, false],
    [more, true],
  ] as const) {
    expect(store.commitPrepared(ready).changed).toBe(changed);
    const { position } = store;
    expect(() => store.commitPrepared(ready)).toThrow(expect.objectContaining({ code: 'TRANSACTION_INVALID' }));
    expect(store.position).toEqual(position);
  }
  expect(store.get('/a/n')).toBe(2);
});

test('a guard that uses the store while it judges a prepared transaction is told that one is under way', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { b: 1 }, c: 1 });
  const codes: unknown[] = [];
  const judge = (use: () => unknown): void => {
    try {
      use();
    } catch (error) {
      codes.push((error as EvertreeError).code);
    }
  };
  store.guard('/a/b', {
    safeParse: found => {
      if (found === 2) [() => store.put('/c', 2), () => store.cut(), () => store.snapshot()].forEach(judge);
      return { success: found === 1 };
    },
  });
  const { digest, position } = store;
  const ready = prepared(store, '/a', function* (tx) {
    yield* tx.putSteps('/a/b', 2);
  });
  expect(() => store.commitPrepared(ready)).toThrow(expect.objectContaining({ code: 'GUARD_FAILED' }));
  expect(codes).toEqual(['TRANSACTION_INVALID', 'TRANSACTION_INVALID', 'TRANSACTION_INVALID']);
  expect([store.digest, store.position]).toEqual([digest, position]);
  expect(store.put('/c', 3).changed).toBe(true);
});

test('a guard refuses a prepared transaction, and the tree is as it was', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { b: 1 } });
  store.guard('/a/b', { safeParse: found => ({ success: typeof found === 'number' }) });
  const { digest } = store;
  const ready = prepared(store, '/a', function* (tx) {
    yield* tx.mergeSteps('/a', { x: 1, b: 'text' });
  });
  expect(() => store.commitPrepared(ready)).toThrow(expect.objectContaining({ code: 'GUARD_FAILED' }));
  expect(store.get('')).toEqual({ a: { b: 1 } });
  expect(store.digest).toBe(digest);
});

test('a large transaction is prepared in many steps, and makes one frame of its own', async () => {
  await using store = (await memoryStore()).store;
  store.put('/before', 1);
  const many = Array.from({ length: 50_000 }, (_, n) => n);
  let pauses = 0;
  const ready = prepared(
    store,
    '/many',
    function* (tx) {
      yield* tx.mergeSteps('/many', { list: many, ...Object.fromEntries(many.map(n => [`k${n}`, { n }])) });
      yield* tx.patchSteps(
        '/many',
        many.map(n => add(`/k${n}/m`, n)),
      );
    },
    () => pauses++,
  );
  store.put('/meanwhile', 1);
  store.commitPrepared(ready);
  store.put('/after', 1);
  await store.flush();
  expect(pauses).toBeGreaterThan(100);
  const frames = await framesOf(store.journal);
  expect(frames.map(({ header }) => header.count)).toEqual([1, 2, 1, 1]);
  await using secondary = (await memoryStore({ role: 'secondary' })).store;
  for (const frame of frames) secondary.applyFrame(frame);
  expect(secondary.digest).toBe(store.digest);
});

test('a prepared transaction that changes nothing takes no revision, and leaves nothing to the next transaction', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { b: 1 } });
  const { position } = store;
  const ready = prepared(store, '/a', function* (tx) {
    yield* tx.mergeSteps('/a', { b: 1 });
  });
  expect(store.commitPrepared(ready).changed).toBe(false);
  expect(store.transact(() => undefined).changed).toBe(false);
  expect(store.position).toEqual(position);
  expect(store.get('')).toEqual({ a: { b: 1 } });
});

test('a prepared transaction is of the tree that it ran ahead of, and of no other one with the same nodes', () => {
  const tree = new Tree(importValue(start, [], 1) as TreeNode);
  const { listeners } = new Scene();
  const options = { encodes: false, byteLimit: 1e6, sort: listeners.sortSteps.bind(listeners) };
  const ready = finishSteps(prepareTransaction(tree, ['at'], tx => tx.patchSteps('/at', [add('/c', {})]), options));
  expect(ready.isCurrent(tree)).toBe(true);
  const other = new Tree(tree.pin());
  expect(other.get(['at'])).toBe(tree.get(['at']));
  expect(ready.isCurrent(other)).toBe(false);
  tree.put(['at', 'text'], 'y');
  expect(ready.isCurrent(tree)).toBe(false);
});

function devices(last: Value): Value {
  return Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`d${n}`, { n, list: [n], port: { up: n === 2_999 ? last : true } }]));
}

test('a prepared put of an object that stands there already makes no commit, and one that differs in a leaf does', async () => {
  await using store = (await memoryStore()).store;
  store.put('/at', devices(true));
  const put = (last: Value): boolean => store.commitPrepared(prepared(store, '/at', tx => tx.putSteps('/at', devices(last)))).changed;
  const { position } = store;
  expect(put(true)).toBe(false);
  expect(store.position).toEqual(position);
  expect(put(false)).toBe(true);
  expect(store.get('/at')).toEqual(devices(false));
  // What the transaction wrote before is what stands there.
  const steps: TransactionSteps = function* (tx) {
    yield* tx.putSteps('/at', devices(true));
    yield* tx.putSteps('/at', devices(false));
    yield* tx.putSteps('/at', devices(false));
  };
  expect(store.commitPrepared(prepared(store, '/at', steps)).changed).toBe(false);
  expect(store.get('/at')).toEqual(devices(false));
});

test('a long text is encoded in a step of its own, and what comes of it is taken in another', () => {
  const { listeners } = new Scene();
  const options = { encodes: true, byteLimit: 1e6, sort: listeners.sortSteps.bind(listeners) };
  const pauses = (length: number): number => {
    const steps: TransactionSteps = function* (tx) {
      tx.put('/text', 'x'.repeat(length));
      yield;
    };
    return Array.from(prepareTransaction(new Tree(), ['text'], steps, options)).length;
  };
  expect(pauses(100_000)).toBe(pauses(1_000) + 1);
});
