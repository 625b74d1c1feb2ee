import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { onTree } from '../../test/on-tree.ts';
import { matchesValue, replaceByDifference } from './difference.ts';

const json = fc.jsonValue({ maxDepth: 4, noUnicodeString: false }).map(value => JSON.parse(JSON.stringify(value)) as unknown);
const jsonObject = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__', ''), json, { maxKeys: 5 });

describe('replacing by the difference', () => {
  it('makes any tree equal to any document, and does nothing the second time', () => {
    fc.assert(
      fc.property(jsonObject, jsonObject, (before, after) => {
        let again = -1;
        const { value } = onTree(before, tx => {
          replaceByDifference(tx, [], after);
          again = replaceByDifference(tx, [], after);
        });
        expect(value).toStrictEqual({ ...after });
        expect(again).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('writes only what differs, and returns how much that was', () => {
    const before = { same: { a: [1, { b: 2 }], n: null }, leaf: 1, gone: 1, deep: { x: { y: 1, z: 1 } }, kind: {}, list: [1] };
    let count = 0;
    const { calls } = onTree({ at: before }, tx => {
      count = replaceByDifference(tx, ['at'], {
        list: [1, 2],
        kind: [],
        deep: { x: { z: 1, y: 2 }, w: {} },
        same: { n: null, a: [1, { b: 2 }] },
        leaf: 1,
      });
    });
    expect(calls.toSorted()).toStrictEqual(['delete at/gone', 'put at/deep/w', 'put at/deep/x/y', 'put at/kind', 'put at/list']);
    expect(count).toBe(5);
  });

  it('reads leaves only, of a document of any size', () => {
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, { v: index }]));
    const { largestRead, calls } = onTree({ wide }, tx => replaceByDifference(tx, [], { wide: { ...wide, k3: { v: 'three' } } }));
    expect(largestRead).toBe(1);
    expect(calls).toStrictEqual(['put wide/k3/v']);
  });

  it('puts the value if there is none', () => {
    const { value, calls } = onTree({}, tx => replaceByDifference(tx, ['a', 'b'], { c: 1 }));
    expect(value).toStrictEqual({ a: { b: { c: 1 } } });
    expect(calls).toStrictEqual(['put a/b']);
  });

  const cycle: { [key: string]: unknown } = { a: {} };
  cycle['a'] = { a: cycle };
  it.each([
    ['undefined', undefined],
    ['a Date where an object stands', new Date(0)],
    ['a Date inside an equal array', [new Date(0)]],
    ['an object with undefined inside', { x: undefined }],
    ['a cycle', cycle],
  ])('refuses %s', (_, value) => {
    for (const present of [{}, [{}], 1, { a: { a: { a: { a: {} } } } }]) {
      expect(() => onTree({ at: present }, tx => replaceByDifference(tx, ['at'], value))).toThrow(
        expect.objectContaining({ code: 'VALUE_INVALID' }),
      );
    }
  });
});

describe('comparing the value at a path', () => {
  it.each([
    [{ a: 1, b: [1] }, { b: [1], a: 1 }, true],
    [{ a: 1 }, { a: 1, b: undefined }, false],
    [{ a: { b: 1 } }, { a: { b: 2 } }, false],
    [{ a: 1 }, { b: 1 }, false],
    [{}, [], false],
    [[], {}, false],
    [1, '1', false],
    [null, null, true],
    [null, {}, false],
  ])('%j and %j: %j', (present, value, same) => {
    onTree({ at: present }, tx => expect(matchesValue(tx, ['at'], value)).toBe(same));
  });
});
