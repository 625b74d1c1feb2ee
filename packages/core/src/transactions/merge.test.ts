import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { onTree } from '../../test/on-tree.ts';
import { exportValue } from '../tree/content.ts';
import { Guards } from './guards.ts';
import { mergeDocument } from './merge.ts';
import { Transaction } from './transaction.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

const key = fc.constantFrom('a', 'b', 'c');
const path = fc.array(key, { maxLength: 2 });
const { value: anyValue, object } = fc.letrec<{ value: Value; object: { [key: string]: Value } }>(tie => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Value>(0, 1, 'x', null),
    fc.constantFrom<Value>([], [null], [{ a: null }]),
    tie('object'),
  ),
  object: fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
}));

/** MergePatch of RFC 7396, section 2. */
function mergePatch(target: Value | undefined, patch: Value): Value {
  if (!isObject(patch)) return patch;
  const result: { [key: string]: Value } = isObject(target) ? { ...target } : {};
  for (const [name, member] of Object.entries(patch)) {
    if (member === null) delete result[name];
    else result[name] = mergePatch(result[name], member);
  }
  return result;
}

function mergedBelow(target: Value | undefined, at: readonly string[], patch: Value): Value {
  const [name, ...below] = at;
  if (name === undefined) return mergePatch(target, patch);
  const members = isObject(target) ? target : {};
  return { ...members, [name]: mergedBelow(members[name], below, patch) };
}

function isObject(value: Value | undefined): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const merged = (target: unknown, document: unknown): unknown => {
  const { value } = onTree(target === undefined ? {} : { at: target }, tx => mergeDocument(tx, ['at'], document));
  return (value as { readonly at: unknown }).at;
};

describe('a merge patch', () => {
  // RFC 7396, appendix A, and what it says of a missing target.
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ['leaf', {}, {}],
    [undefined, {}, {}],
    [undefined, { a: null }, {}],
    [{ a: { b: 1 } }, {}, { a: { b: 1 } }],
    [{ a: 1 }, { a: [null, { b: null }] }, { a: [null, { b: null }] }],
  ])('makes of %j with %j: %j', (target, document, expected) => {
    expect(merged(target, document)).toStrictEqual(expected);
  });

  it('makes an operation for each member that changes, and none for the others', () => {
    const { operations } = onTree({ at: { same: 1, changed: 1, gone: 1, deep: { x: 1, y: 1 } } }, tx =>
      mergeDocument(tx, ['at'], { same: 1, changed: 2, gone: null, absent: null, deep: { x: 2 }, made: { z: null, w: 1 } }),
    );
    expect(operations.toSorted()).toStrictEqual(['delete at/gone', 'put at/changed', 'put at/deep/x', 'put at/made']);
  });

  it('writes no leaf that is there already, and no null where nothing is', () => {
    const { calls } = onTree({ at: { same: 1, text: 'x', none: null, zero: 0, changed: 1, deep: { a: true, b: [1] } } }, tx =>
      mergeDocument(tx, ['at'], { same: 1, text: 'x', absent: null, zero: -0, changed: 2, deep: { a: true, b: [1], c: null } }),
    );
    expect(calls).toStrictEqual(['put at/changed', 'put at/deep/b']);
  });

  it('makes what RFC 7396 says of any documents, in one transaction with other writes', () => {
    fc.assert(
      fc.property(object, fc.array(fc.tuple(path, anyValue), { minLength: 1, maxLength: 5 }), fc.boolean(), (start, merges, pinned) => {
        let expected: Value = start;
        const { value: found } = onTree(start, tx => {
          if (pinned) tx.put(['other'], 1);
          for (const [at, document] of merges) {
            try {
              mergeDocument(tx, at, document);
            } catch {
              // Through a leaf, or no object at the root: it changed nothing.
              continue;
            }
            expected = mergedBelow(expected, at, document);
          }
          tx.delete(['other']);
        });
        expect(found).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it('sees the write before it, also where an equal array pins the tree', () => {
    const tree = new Tree();
    const transaction = new Transaction(tree, { concerns: () => false }, 1e9);
    transaction.run(tx => tx.put([], { at: { b: 1, list: [1] } }), new Guards());
    transaction.release();
    transaction.run(tx => {
      tx.put(['at', 'b'], 2);
      tx.merge(['at'], { list: [1], b: 1, c: 1 });
    }, new Guards());
    expect(exportValue(tree.root)).toEqual({ at: { b: 1, list: [1], c: 1 } });
  });

  it('sees what a getter of the document wrote', () => {
    const { value: found } = onTree({ at: { a: 1, b: 1, deep: { c: 1 } } }, tx => {
      tx.put(['at', 'z'], 1);
      mergeDocument(tx, ['at'], {
        get a() {
          tx.put(['at', 'b'], 2);
          tx.put(['at', 'deep'], { c: 2 });
          return 3;
        },
        b: 1,
        deep: { c: 1 },
      });
    });
    expect(found).toEqual({ at: { a: 3, b: 1, deep: { c: 1 }, z: 1 } });
  });

  it('reads nothing of the present value', () => {
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, { v: index }]));
    const { largestRead, operations } = onTree({ wide }, tx => mergeDocument(tx, [], { wide: { k7: { v: 'seven' } } }));
    expect(largestRead).toBe(0);
    expect(operations).toStrictEqual(['put wide/k7/v']);
  });

  it('takes any key, even of new members', () => {
    const document: unknown = JSON.parse('{"__proto__":{"a":1,"b":null},"constructor":{"__proto__":{"x":1}},"":2}');
    expect(JSON.stringify(merged({}, document))).toBe('{"__proto__":{"a":1},"constructor":{"__proto__":{"x":1}},"":2}');
    expect(JSON.stringify(merged(undefined, document))).toBe('{"__proto__":{"a":1},"constructor":{"__proto__":{"x":1}},"":2}');
    expect(({} as { a?: unknown }).a).toBeUndefined();
  });

  const cycle: { [key: string]: unknown } = {};
  cycle['again'] = cycle;
  it.each([
    ['a Date', new Date(0)],
    ['undefined', undefined],
    ['a cycle', cycle],
    ['NaN inside', { a: { b: Number.NaN } }],
    ['a lone surrogate as a key', { '\ud800': null }],
    ['a symbol as a key', { [Symbol('s')]: 1 }],
  ])('refuses %s, onto an object and onto nothing', (_, document) => {
    const refused = expect.objectContaining({ code: 'VALUE_INVALID' });
    expect(() => merged({ again: { again: {} } }, { inner: document })).toThrow(refused);
    expect(() => merged({ inner: { again: {} } }, { inner: document })).toThrow(refused);
    expect(() => merged(undefined, { inner: document })).toThrow(refused);
  });

  it('refuses a path through a leaf or into an array', () => {
    const refused = expect.objectContaining({ code: 'PATH_INVALID' });
    expect(() => onTree({ a: 1 }, tx => mergeDocument(tx, ['a', 'b'], { c: 1 }))).toThrow(refused);
    expect(() => onTree({ a: [{}] }, tx => mergeDocument(tx, ['a', '0'], { c: 1 }))).toThrow(refused);
    expect(() => onTree({}, tx => mergeDocument(tx, [], [1]))).toThrow(refused);
  });
});
