import { expect, test } from 'vitest';
import { prepared } from '../../test/prepared.ts';
import { memoryStore } from '../../../../test/support/stores.ts';
import type { Store } from '../store/store.ts';
import type { TransactionSteps } from './transaction.ts';

/** Pointers that a listener at `/many/*` hears of, with the revision of each batch. */
function heardOf(store: Store, into: string[]): Disposable {
  return store.listen('/many/*', ({ initial, position, changes }) => {
    into.push(
      `${initial ? 'from' : 'at'} ${position.revision}: ${changes.map(({ path, after }) => `${path}=${JSON.stringify(after)}`).join()}`,
    );
  });
}

const putTwo: TransactionSteps = function* (tx) {
  tx.put('/many/a', 1);
  yield;
  tx.put('/many/b', { c: 2 });
};

test.each<[string, (store: Store, heard: string[]) => void, string[]]>([
  ['comes', heardOf, ['from 3: ', 'at 4: /many/a=1,/many/b={"c":2}']],
  [
    'comes and commits elsewhere',
    (store, heard) => (heardOf(store, heard), store.put('/x', 1)),
    ['from 3: ', 'at 5: /many/a=1,/many/b={"c":2}'],
  ],
  [
    'comes and commits below it',
    (store, heard) => (heardOf(store, heard), store.put('/many/a', 0)),
    ['from 3: ', 'at 4: /many/a=0', 'at 5: /many/a=1,/many/b={"c":2}'],
  ],
  ['comes and goes', (store, heard) => heardOf(store, heard)[Symbol.dispose](), []],
])('a listener that %s while a prepared transaction is committed hears of it as of others', async (_name, meanwhile, told) => {
  await using store = (await memoryStore()).store;
  store.put('/many', {});
  const ready = prepared(store, '/many', putTwo);
  store.put('/n', 1);
  const heard: string[] = [];
  // The commit cuts a frame before it, and whoever hears of that may do anything.
  const cut = store.on('advanced', () => {
    cut[Symbol.dispose]();
    meanwhile(store, heard);
  });
  store.commitPrepared(ready);
  await store.flush();
  for (let turns = 0; turns < 10; turns++) await new Promise(next => setImmediate(next));
  await expect.poll(() => heard).toEqual(told);
  expect(store.get('/many')).toEqual({ a: 1, b: { c: 2 } });
});

test('a listener that ended after a transaction was prepared hears nothing of it, and another one hears all', async () => {
  await using store = (await memoryStore()).store;
  store.put('/many', {});
  const heard: [string[], string[]] = [[], []];
  const [gone] = heard.map(into => heardOf(store, into));
  const ready = prepared(store, '/many', putTwo);
  gone![Symbol.dispose]();
  store.commitPrepared(ready);
  await expect.poll(() => heard).toEqual([[], ['from 2: ', 'at 3: /many/a=1,/many/b={"c":2}']]);
});
