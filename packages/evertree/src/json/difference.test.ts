import { parsePath } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DifferenceOperation, differenceOf } from './difference.ts';

/** Applies the three operations that a difference is made of, as RFC 6902 says for objects. */
function apply(document: unknown, operations: readonly DifferenceOperation[]): unknown {
  const holder: { root: unknown } = { root: structuredClone(document) };
  for (const operation of operations) {
    const path = ['root', ...parsePath(operation.path)];
    let parent: Record<string, unknown> = holder;
    for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
    const key = path.at(-1) ?? '';
    const found = Object.hasOwn(parent, key);
    if (found === (operation.op === 'add')) throw new Error(`${operation.op} of ${operation.path} does not fit`);
    if (operation.op === 'remove') Reflect.deleteProperty(parent, key);
    else
      Object.defineProperty(parent, key, { value: structuredClone(operation.value), enumerable: true, configurable: true, writable: true });
  }
  return holder.root;
}

/** Few keys, so that two documents have some in common; odd ones among them. */
const key = fc.constantFrom('a', 'b', 'c', '', '/', '~1', '__proto__', 'constructor', '0');
const { document } = fc.letrec(tie => ({
  document: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(0, 1, '', 'x', true, null),
    fc.array(tie('document'), { maxLength: 2 }),
    fc.dictionary(key, tie('document'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

describe('the difference of two documents', () => {
  test('applied to the first makes the second', () => {
    fc.assert(
      fc.property(document, document, (before, after) => {
        expect(apply(before, differenceOf(before, after).operations)).toEqual(after);
      }),
    );
  });

  test('is nothing between equal documents, whatever the order of their keys', () => {
    fc.assert(
      fc.property(document, value => {
        expect(differenceOf(value, structuredClone(value)).operations).toEqual([]);
      }),
    );
    expect(differenceOf({ a: 1, b: [{ c: 1, d: 2 }] }, { b: [{ d: 2, c: 1 }], a: 1 }).operations).toEqual([]);
  });

  test('enters objects, replaces arrays whole, and counts', () => {
    expect(differenceOf({ a: { x: 1, y: 2 }, b: [1, 2], c: 0 }, { a: { x: 1, y: 3 }, b: [1], d: {} })).toEqual({
      operations: [
        { op: 'remove', path: '/c' },
        { op: 'replace', path: '/a/y', value: 3 },
        { op: 'replace', path: '/b', value: [1] },
        { op: 'add', path: '/d', value: {} },
      ],
      added: 1,
      replaced: 2,
      removed: 1,
    });
  });
});
