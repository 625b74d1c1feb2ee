import { expect, test } from 'vitest';
import { memoryStore } from '../../../../test/support/stores.ts';
import { EvertreeError } from '../errors.ts';
import { preparePatch } from './prepared-patch.ts';
import { PreparedValue } from '../tree/prepared-value.ts';

function prepare(operations: readonly unknown[], path: readonly string[]): { readonly prepared: unknown[]; readonly pauses: number } {
  const steps = preparePatch(operations, path);
  for (let pauses = 0; ; pauses++) {
    const step = steps.next();
    if (step.done === true) return { prepared: step.value, pauses };
  }
}

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
  for (const patch of [operations, prepare(operations, ['at']).prepared]) {
    await using store = (await memoryStore()).store;
    store.put('', start);
    try {
      store.patch('/at', patch);
      results.push([store.get(''), store.digestAt([])]);
    } catch (error) {
      if (!(error instanceof EvertreeError)) throw error;
      results.push([error.code, error.message, error.details, store.get('')]);
    }
  }
  expect(results[1]).toEqual(results[0]);
});

test('a patch is prepared in steps: one for each operation at least', () => {
  const many = Array.from({ length: 10_000 }, (_, n) => ({ n }));
  const { prepared, pauses } = prepare([add('/a', many), ...many.map(({ n }) => add(`/${n}`, n)), add('/b', {})], []);
  expect(pauses).toBeGreaterThan(10_000 + 5);
  expect(prepared.filter(each => (each as { value: unknown }).value instanceof PreparedValue)).toHaveLength(2);
});
