import { Store, type Value } from '@evertree/core';
import { MemoryJournal } from '@evertree/journal';
import * as fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Change } from '@evertree/history';
import { changeJson } from './history-json.ts';
import { jsonSlices, valueSlices } from './json-slices.ts';
import { strictReport } from '../../../../test/support/reports.ts';

const clock = {
  now: () => 0,
  monotonic: () => 0,
  soon: (task: () => void) => void setImmediate(task),
  after: () => ({ [Symbol.dispose]: () => undefined }),
};
const random = { bytes: (length: number) => randomBytes(length), fraction: () => 0.5 };

async function slicesOf(value: unknown): Promise<string[]> {
  await using store = await Store.open({ journal: new MemoryJournal({ clock, random, report: strictReport }), clock, random });
  store.put('/value', value);
  using snapshot = store.snapshot();
  return [...jsonSlices(snapshot, ['value'])];
}

/** JSON as it ought to be: keys in order at every level. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const object = value as Record<string, unknown>;
  return `{${Object.keys(object)
    .toSorted()
    .map(key => `${JSON.stringify(key)}:${sorted(object[key])}`)
    .join(',')}}`;
}

test('slices make up the JSON text, keys sorted', async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async sent => {
      const value = JSON.parse(JSON.stringify(sent)) as unknown;
      expect((await slicesOf(value)).join('')).toBe(sorted(value));
    }),
    { numRuns: 200 },
  );
});

test('a wide object comes sorted, in slices of bounded length', async () => {
  const keys = Array.from({ length: 30_000 }, (_, index) => `${(index * 7_919) % 30_011}`);
  const value = Object.fromEntries(keys.map(key => [key, { key }]));
  const slices = await slicesOf(value);
  expect(slices.join('') === sorted(value)).toBe(true);
  expect(Math.max(...slices.map(slice => slice.length))).toBeLessThan(40_000);
  // Sorting has its pauses, too.
  expect(slices.filter(slice => slice === '').length).toBeGreaterThan(5);
});

test('a long text comes in slices of bounded length, wherever it stands', async () => {
  const unit = fc.constantFrom('x', 'é', '\u{1f333}', '\ud83c', '\udf33', '\u0001', '"', '\n');
  const part = fc.array(unit, { minLength: 1, maxLength: 12 }).map(units => units.join(''));
  await fc.assert(
    fc.asyncProperty(part, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 100_000 }), async (repeated, lead, length) => {
      const text = 'x'.repeat(lead) + repeated.repeat(Math.ceil(length / repeated.length));
      for (const value of [text, [text, 1, text], { a: text, b: { c: text } }]) {
        const slices = [...valueSlices(value)];
        expect(slices.join('') === sorted(value)).toBe(true);
        // Of 32 Ki characters each may need six.
        expect(Math.max(...slices.map(slice => slice.length))).toBeLessThan(200_000);
      }
    }),
    { numRuns: 100 },
  );
});

test('a plain value has the text that it has in the tree', async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async value => {
      const text = [...valueSlices(value as Value)].join('');
      expect(text).toBe(sorted(value));
      expect(text).toBe((await slicesOf(value)).join(''));
    }),
  );
});

test('a large plain value is made in small slices', () => {
  const value = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`key ${index}`, { index, text: 'x'.repeat(20) }]));
  const slices = [...valueSlices(value)];
  expect(slices.join('')).toBe(sorted(value));
  expect(Math.max(...slices.map(({ length }) => length))).toBeLessThan(64 * 1024);
});

test('a large array is made in small slices, whatever it holds', () => {
  const value = Array.from({ length: 20_000 }, (_, index) => [index, [], {}, { b: [index], a: null }]);
  const slices = [...valueSlices(value)];
  expect(JSON.parse(slices.join(''))).toEqual(value);
  expect(slices.join('')).toContain('[7,[],{},{"a":null,"b":[7]}]');
  expect(Math.max(...slices.map(slice => slice.length))).toBeLessThan(64 * 1024);
});

test('an array of small objects is made with a pause after each 256 of them, which a change lets through', () => {
  const value = Array.from({ length: 1_024 }, () => ({}));
  expect([...valueSlices(value)].filter(slice => slice === '')).toHaveLength(4);
  const position = { epoch: 1, epochId: 'abcdef0123456789', revision: 1 };
  const operation = { path: ['a'], kind: 'put', after: value } as const;
  const change = { position, time: 0, operations: [operation] } as unknown as Change;
  expect([...changeJson(change)].filter(slice => slice === '')).toHaveLength(4);
});
