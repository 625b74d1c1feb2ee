import { expect, test, vi } from 'vitest';
import { framesOf, memoryStore } from '../../../../test/support/stores.ts';
import { prepared } from '../../test/prepared.ts';
import type { Batch } from '../listeners/batch.ts';
import { WAITING_BYTES_LIMIT } from '../listeners/listener-queue.ts';
import type { Value } from '../tree/value.ts';

test('a prepared transaction that catches what a torn patch throws fails nevertheless, as one in one go does', async () => {
  await using store = (await memoryStore()).store;
  store.put('', { a: { b: 1 } });
  const patch = [
    { op: 'add', path: '/c', value: 1 },
    { op: 'remove', path: '/none' },
  ];
  const inOneGo = (): unknown =>
    store.transact(tx => {
      expect(() => tx.patch('/a', patch)).toThrow();
    });
  const ready = prepared(store, '/a', function* (tx) {
    try {
      yield* tx.patchSteps('/a', patch);
    } catch {
      tx.put('/a/d', 1);
    }
  });
  for (const commit of [inOneGo, () => store.commitPrepared(ready)]) {
    expect(commit).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  }
  expect(store.get('')).toEqual({ a: { b: 1 } });
});

test('a prepared transaction has the limit of a change set that others have', async () => {
  await using store = (await memoryStore({ limits: { changeSetBytes: 1_000 } })).store;
  const commit = (count: number): unknown =>
    store.commitPrepared(
      prepared(store, '/a', function* (tx) {
        yield* tx.putSteps(
          '/a',
          Array.from({ length: count }, () => 1),
        );
      }),
    );
  expect(() => commit(200)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
  expect(store.has('/a')).toBe(false);
  commit(100);
  expect(store.has('/a')).toBe(true);
});

test('the bytes of prepared transactions count towards those that may wait for a listener', async () => {
  await using store = (await memoryStore()).store;
  const batches: Batch[] = [];
  store.listen('/a', batch => void batches.push(batch));
  await vi.waitFor(() => expect(batches).toHaveLength(1));
  for (let n = 0; n < 4; n++) {
    const text = String(n).repeat(WAITING_BYTES_LIMIT / 4 + 1);
    store.commitPrepared(
      prepared(store, '/a', function* (tx) {
        yield* tx.putSteps('/a', { text });
      }),
    );
  }
  await vi.waitFor(() => expect(batches.at(-1)!.position).toMatchObject({ revision: store.position.revision }));
  expect(batches.map(({ merged }) => merged)).toEqual([0, 4]);
});

test('no transaction is prepared inside another one', async () => {
  await using store = (await memoryStore()).store;
  const inside = (): unknown => store.transact(() => prepared(store, '/a', tx => tx.putSteps('/a', 1)));
  expect(inside).toThrow(expect.objectContaining({ code: 'TRANSACTION_INVALID' }));
});

test('a large transaction below which nothing changed meanwhile is committed as it was prepared: it leads to the same digest', async () => {
  await using store = (await memoryStore()).store;
  const keys = Array.from({ length: 20_000 }, (_, n) => `k${n}`);
  store.put('/many', Object.fromEntries(keys.map((key, n) => [key, { n }])));
  let runs = 0;
  const ready = prepared(store, '/many', function* (tx) {
    runs++;
    yield* tx.patchSteps(
      '/many',
      keys.map(key => ({ op: 'add', path: `/${key}/m`, value: 1 })),
    );
  });
  store.put('/meanwhile', 1);
  expect(store.commitPrepared(ready).changed).toBe(true);
  expect(runs).toBe(1);
  await store.flush();
  await using secondary = (await memoryStore({ role: 'secondary' })).store;
  for (const frame of await framesOf(store.journal)) secondary.applyFrame(frame);
  await using again = (await memoryStore()).store;
  again.put('', store.get(''));
  expect(secondary.digest).toBe(store.digest);
  expect(again.digest).toBe(store.digest);
});

test('a prepared put of an array is compared with the array that stands, in steps', async () => {
  // Encoded by the commit: no other steps than those of the preparation and the comparison.
  await using store = (await memoryStore({ encoding: 'json' })).store;
  const items = Array.from({ length: 50_000 }, (_, n) => n);
  store.put('/list', items);
  const pausesOf = (array: readonly number[]): { readonly pauses: number; readonly changed: boolean } => {
    let pauses = 0;
    const ready = prepared(
      store,
      '/list',
      tx => tx.putSteps('/list', array),
      () => pauses++,
    );
    return { pauses, changed: store.commitPrepared(ready).changed };
  };
  const [equal, other] = [pausesOf([...items]), pausesOf([-1, ...items.slice(1)])];
  expect([equal.changed, other.changed]).toEqual([false, true]);
  expect(equal.pauses - other.pauses).toBeGreaterThan(20);
});

test('a long text or array that is put in steps, over another one or not, is what it is in one go', async () => {
  const items = Array.from({ length: 5_000 }, (_, n) => (n % 2 === 0 ? n + 0.5 : { n }));
  const long: Value[] = ['x'.repeat(70_000), 'ü'.repeat(70_001), items, ['y'.repeat(70_000), items], { text: 'z'.repeat(70_000) }, 1];
  for (const standing of long) {
    for (const put of long) {
      await using store = (await memoryStore()).store;
      await using model = (await memoryStore()).store;
      store.put('/at', standing);
      model.put('/at', structuredClone(put));
      store.commitPrepared(prepared(store, '/at', tx => tx.putSteps('/at', structuredClone(put))));
      expect(store.get('')).toEqual(model.get(''));
      expect(store.digest).toBe(model.digest);
      store.delete('/at');
      model.delete('/at');
      expect(store.digest).toBe(model.digest);
      await store.flush();
      await using secondary = (await memoryStore({ role: 'secondary' })).store;
      for (const frame of await framesOf(store.journal)) secondary.applyFrame(frame);
      expect(secondary.digest).toBe(model.digest);
    }
  }
});
