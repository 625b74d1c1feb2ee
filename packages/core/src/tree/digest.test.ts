import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { importValue, sameValue } from './content.ts';
import { emptyDigest } from './digest.ts';
import { digestOf } from './tree.ts';
import type { Value } from './value.ts';

function digest(value: Value): string {
  return digestOf(importValue(value, [], 1));
}

describe('the digest', () => {
  it('is the same for the same value, whatever the order of its keys, and differs for others', () => {
    const json = fc.jsonValue({ maxDepth: 3 }).map(value => JSON.parse(JSON.stringify(value)) as Value);
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(digest(a) === digest(b)).toBe(sameValue(a, b));
        expect(digest(reversed(a))).toBe(digest(a));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each<[Value, Value]>([
    [1, '1'],
    [0, false],
    [null, 'null'],
    [{}, []],
    [[], ''],
    [{ a: {} }, {}],
    [{ a: null }, {}],
    [
      { a: 1, b: 2 },
      { a: 2, b: 1 },
    ],
    [
      [1, 2],
      [2, 1],
    ],
    [
      [[1], 2],
      [1, [2]],
    ],
    [{ a: { b: 1 } }, { b: { a: 1 } }],
    [1, 1.000_000_000_000_000_2],
    [2 ** 31, -(2 ** 31)],
    [2 ** 32, 0],
    ['a', 'a\0'],
  ])('tells %j from %j', (a, b) => {
    expect(digest(a)).not.toBe(digest(b));
    expect(digest({ k: a })).not.toBe(digest({ k: b }));
  });

  it('has the values that FORMAT.md gives', () => {
    expect(emptyDigest()).toBe(digest({}));
    expect(emptyDigest()).toMatchInlineSnapshot(`"39ac4a368e76fb70"`);
    expect(digest({ devices: { r1: { mtu: 1500, up: true, name: 'ключ', load: 0.5, tags: ['a', { b: null }] } } })).toMatchInlineSnapshot(
      `"f09053cb8ba78c82"`,
    );
    expect(digest({ a: 0.1, b: -2147483649, c: -1e-300, d: 9007199254740991 })).toMatchInlineSnapshot(`"938d2ffbf78958bb"`);
  });
});

function reversed(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(item => reversed(item as Value));
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reversed(item)]),
  ) as Value;
}
