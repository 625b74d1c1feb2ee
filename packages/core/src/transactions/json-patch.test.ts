import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { onTree, type Outcome } from '../../test/on-tree.ts';
import { patchDocument } from './json-patch.ts';
import type { TransactionTarget } from './transaction-target.ts';

/** Patches a document that stands at /at, which may be any value. */
function patchedAt(document: unknown, patch: readonly unknown[]): Outcome {
  return onTree({ at: document }, tx => patchDocument(tx, ['at'], patch));
}

const result = (document: unknown, patch: readonly unknown[]): unknown =>
  (patchedAt(document, patch).value as { readonly at?: unknown }).at;

/** The code of the error, and its details. */
function failure(document: unknown, patch: readonly unknown[]): unknown {
  try {
    patchedAt(document, patch);
  } catch (error) {
    const { code, details } = error as { code: unknown; details: { operation?: unknown } };
    return [code, details.operation];
  }
  return 'no error';
}

const add = (path: string, value: unknown): object => ({ op: 'add', path, value });
const replace = (path: string, value: unknown): object => ({ op: 'replace', path, value });
const test = (path: string, value: unknown): object => ({ op: 'test', path, value });
const remove = (path: string): object => ({ op: 'remove', path });
const move = (from: string, path: string): object => ({ op: 'move', from, path });
const copy = (from: string, path: string): object => ({ op: 'copy', from, path });

describe('a JSON patch', () => {
  // The behaviours that RFC 6902, its appendix A and the public json-patch-tests name.
  it.each<[string, unknown, object[], unknown]>([
    ['A.1 adds a member', { a: 'b' }, [add('/c', 'd')], { a: 'b', c: 'd' }],
    ['A.2 adds an element before an index', { a: ['x', 'z'] }, [add('/a/1', 'y')], { a: ['x', 'y', 'z'] }],
    ['A.3 removes a member', { a: 1, b: 2 }, [remove('/b')], { a: 1 }],
    ['A.4 removes an element', { a: ['x', 'y', 'z'] }, [remove('/a/1')], { a: ['x', 'z'] }],
    ['A.5 replaces a value', { a: 1, b: 2 }, [replace('/b', [3])], { a: 1, b: [3] }],
    ['A.6 moves a value', { a: { x: 1, y: 2 }, b: {} }, [move('/a/y', '/b/z')], { a: { x: 1 }, b: { z: 2 } }],
    ['A.7 moves an element', { a: [1, 2, 3, 4] }, [move('/a/1', '/a/3')], { a: [1, 3, 4, 2] }],
    ['A.8 tests values', { a: 'b', c: ['x', 2] }, [test('/a', 'b'), test('/c/1', 2)], { a: 'b', c: ['x', 2] }],
    ['A.10 adds an object', { a: 1 }, [add('/b', { c: {} })], { a: 1, b: { c: {} } }],
    ['A.11 ignores unknown members', { a: 1 }, [{ ...add('/b', 2), more: 3 }], { a: 1, b: 2 }],
    ['A.14 unescapes ~0 and ~1', { '/': 9, '~1': 10 }, [test('/~01', 10), test('/~1', 9)], { '/': 9, '~1': 10 }],
    ['A.16 appends an array as one element', { a: [1] }, [add('/a/-', [2, 3])], { a: [1, [2, 3]] }],
    ['is empty', { a: 1 }, [], { a: 1 }],
    ['adds over what is there', { a: null }, [add('/a', 1)], { a: 1 }],
    ['adds at the key ""', { a: {} }, [add('/a/', 1), add('/', 2)], { a: { '': 1 }, '': 2 }],
    ['takes a number for a key of an object', { a: 1 }, [add('/0', 'x'), add('/-', 'y')], { a: 1, '0': 'x', '-': 'y' }],
    ['replaces the document by add', { a: 1 }, [add('', [1])], [1]],
    ['replaces the document by replace', [1], [replace('', { b: 2 })], { b: 2 }],
    ['removes the document', { a: 1 }, [remove('')], undefined],
    ['tests the document', { a: 1 }, [test('', { a: 1 })], { a: 1 }],
    ['moves a member to the document', { a: { b: 1 } }, [move('/a', '')], { b: 1 }],
    ['copies the document into itself', { a: 1 }, [copy('', '/b')], { a: 1, b: { a: 1 } }],
    ['edits an array that is the document', ['a', 'c'], [add('/1', 'b'), remove('/0'), add('/-', 'd')], ['b', 'c', 'd']],
    ['adds at the length', [1], [add('/1', 2)], [1, 2]],
    ['edits an object in an array', { a: [{ b: 'x' }] }, [add('/a/0/c', 1), replace('/a/0/b', 'y')], { a: [{ b: 'y', c: 1 }] }],
    ['edits arrays in arrays', [1, [2, [3]]], [add('/1/1/-', 4), remove('/1/0')], [1, [[3, 4]]]],
    ['removes one after the other', [1, 2, 3, 4], [remove('/1'), remove('/2')], [1, 3]],
    ['replaces falsy by falsy', [''], [replace('/0', 0), replace('/0', false), replace('/0', null)], [null]],
    ['takes null for a value', { a: null }, [test('/a', null), copy('/a', '/b'), move('/a', '/c')], { b: null, c: null }],
    ['tests without regard to the order of keys', { a: [{ x: 1, y: 2 }] }, [test('/a', [{ y: 2, x: 1 }])], { a: [{ x: 1, y: 2 }] }],
    ['moves to where it is', { a: 1, b: [1] }, [move('/a', '/a'), move('/b/0', '/b/0')], { a: 1, b: [1] }],
    ['moves out of an array into it', { a: [{ b: 1 }] }, [move('/a/0/b', '/a/1')], { a: [{}, 1] }],
    ['moves between arrays', { a: [1, 2], b: [3] }, [move('/a/0', '/b/-'), move('/b/0', '/a/0')], { a: [3, 2], b: [1] }],
    [
      'copies, and does not share',
      { a: [{ n: 1 }] },
      [copy('/a/0', '/b'), replace('/a/0/n', 2), copy('/a', '/a/-')],
      { a: [{ n: 2 }, [{ n: 2 }]], b: { n: 1 } },
    ],
    ['sees what came before it', {}, [add('/a', {}), add('/a/b', []), add('/a/b/-', 1), test('/a', { b: [1] })], { a: { b: [1] } }],
    ['replaces an array that it edited', { a: [1] }, [add('/a/-', 2), replace('/a', { b: [] }), add('/a/b/0', 3)], { a: { b: [3] } }],
  ])('%s', (_, document, patch, expected) => {
    expect(result(document, patch)).toStrictEqual(expected);
  });

  it.each<[string, unknown, object[], string]>([
    ['A.9 a test that fails', { a: 'b' }, [test('/a', 'c')], 'TEST_FAILED'],
    ['A.12 a missing parent', { a: 1 }, [add('/b/c', 1)], 'NOT_FOUND'],
    ['A.15 a text for a number', { a: 10 }, [test('/a', '10')], 'TEST_FAILED'],
    ['a parent that is a leaf', { a: 1 }, [add('/a/b', 1)], 'PATH_INVALID'],
    ['a leaf above the parent', { a: 1 }, [add('/a/b/c', 1)], 'NOT_FOUND'],
    ['removing what is absent', { a: 1 }, [remove('/b')], 'NOT_FOUND'],
    ['replacing what is absent', { a: 1 }, [replace('/b', 1)], 'NOT_FOUND'],
    ['replacing below what is absent', { a: 1 }, [replace('/b/c', 1)], 'NOT_FOUND'],
    ['copying what is absent', { a: [1] }, [copy('/a/1', '/b')], 'NOT_FOUND'],
    ['moving what is absent', { a: 1 }, [move('/b', '/a')], 'NOT_FOUND'],
    ['testing what is absent', { a: [1] }, [test('/a/1', null)], 'TEST_FAILED'],
    ['testing below a leaf', { a: 1 }, [test('/a/b', 1)], 'TEST_FAILED'],
    ['moving into its own child', { a: { b: 1 } }, [move('/a', '/a/b')], 'PATH_INVALID'],
    ['moving the document into itself', { a: 1 }, [move('', '/a')], 'PATH_INVALID'],
    ['an index beyond the length', [1], [add('/2', 1)], 'PATH_INVALID'],
    ['a negative index', [1], [add('/-1', 1)], 'PATH_INVALID'],
    ['an index with a leading zero', [1, 2], [add('/01', 1)], 'PATH_INVALID'],
    ['an index with an exponent', [1, 2], [add('/1e0', 1)], 'PATH_INVALID'],
    ['a key for an index', [1], [add('/length', 1)], 'PATH_INVALID'],
    ['removing an index with an exponent', [1, 2], [remove('/1e0')], 'NOT_FOUND'],
    ['removing at the end', [1, 2], [remove('/2')], 'NOT_FOUND'],
    ['removing "-"', [1, 2], [remove('/-')], 'NOT_FOUND'],
    ['replacing "-"', [1, 2], [replace('/-', 1)], 'NOT_FOUND'],
    ['testing an index with zeros', ['a'], [test('/00', 'a')], 'TEST_FAILED'],
    ['passing through a bad index', { a: [{ b: 1 }] }, [remove('/a/1e0/b')], 'NOT_FOUND'],
    ['passing through a leaf in an array', [1], [add('/0/a', 1)], 'PATH_INVALID'],
    ["an object's inherited member", { a: [{}] }, [remove('/a/0/toString')], 'NOT_FOUND'],
    ['a pointer without a slash', { a: 1 }, [add('a', 1)], 'PATH_INVALID'],
    ['a bad escape', { a: 1 }, [copy('/a~2', '/b')], 'PATH_INVALID'],
    ['no value to add', [1], [{ op: 'add', path: '/-' }], 'VALUE_INVALID'],
    ['no value to replace by', [1], [{ op: 'replace', path: '/0' }], 'VALUE_INVALID'],
    ['no value to test', [null], [{ op: 'test', path: '/0' }], 'VALUE_INVALID'],
    ['no place to copy from', [1], [{ op: 'copy', path: '/-' }], 'VALUE_INVALID'],
    ['no place to move from', [1], [{ op: 'move', path: '' }], 'VALUE_INVALID'],
    ['no path', {}, [{ op: 'add', value: 1 }], 'VALUE_INVALID'],
    ['an unknown op', {}, [{ op: 'spam', path: '/a', value: 1 }], 'VALUE_INVALID'],
    ['an inherited op', {}, [{ op: 'constructor', path: '/a', value: 1 }], 'VALUE_INVALID'],
    ['a value that is no JSON', {}, [add('/a', Number.NaN)], 'VALUE_INVALID'],
    ['one inside an array', [1], [add('/0', { a: [undefined] })], 'VALUE_INVALID'],
  ])('refuses %s', (_, document, patch, code) => {
    // After one that passes, so that the number told is seen to be the operation's own.
    expect(failure(document, [test('', document), ...patch])).toStrictEqual([code, 1]);
  });

  it('is refused whole when it is no array of objects', () => {
    expect(failure({}, {} as unknown[])).toStrictEqual(['VALUE_INVALID', undefined]);
    for (const operation of [null, 'add', [add('/a', 1)], undefined]) expect(failure({}, [operation])).toStrictEqual(['VALUE_INVALID', 0]);
  });

  it('checks the form of every operation before it applies the first', () => {
    const { calls } = onTree({}, tx => {
      expect(() => patchDocument(tx, [], [add('/a', 1), { op: 'add' }])).toThrow(/operations\[1\]/);
    });
    expect(calls).toStrictEqual([]);
  });

  it('names the operation by number, op and pointer', () => {
    expect(() => result({ a: 1 }, [add('/b', 1), test('/b', 2)])).toThrow(
      'operations[1] (test "/b") of the patch: what stands there is not',
    );
  });
});

describe('a patch of an array', () => {
  it('puts the array once for a run of operations on it', () => {
    const many = Array.from({ length: 500 }, (_, index) =>
      index % 2 === 0 ? add('/list/-', index) : test(`/list/${(index + 1) / 2}`, index - 1),
    );
    const { calls, value } = patchedAt({ list: ['first'], beside: 1 }, [...many, replace('/beside', 2), add('/list/0', 'zeroth')]);
    expect(calls).toStrictEqual(['put at/list', 'put at/beside', 'put at/list']);
    expect((value as { at: { list: unknown[] } }).at.list).toHaveLength(252);
  });

  it("can't reach a prototype", () => {
    for (const path of ['/a/0/__proto__/polluted', '/a/0/constructor/prototype/polluted', '/a/__proto__/polluted', '/a/__proto__']) {
      expect(failure({ a: [{}] }, [add(path, { polluted: 1 })]), path).toStrictEqual([expect.stringMatching(/NOT_FOUND|PATH_INVALID/), 0]);
      expect(failure({ a: [{}], b: 1 }, [copy('/b', path)]), path).toStrictEqual([expect.stringMatching(/NOT_FOUND|PATH_INVALID/), 0]);
      expect(failure({ a: [{}] }, [copy(path, '/c')]), path).toStrictEqual(['NOT_FOUND', 0]);
    }
    const patched = result({ a: [{}] }, [add('/a/0/__proto__', { polluted: 1 }), add('/a/0/__proto__/also', 1)]);
    expect(JSON.stringify(patched)).toBe('{"a":[{"__proto__":{"polluted":1,"also":1}}]}');
    expect('polluted' in {} || 'also' in {}).toBe(false);
  });

  it('keeps unusual keys', () => {
    const odd: unknown = JSON.parse('[{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}},"hasOwnProperty":1}]');
    const patched = result(odd, [
      replace('/0/constructor/prototype/y', 2),
      add('/0/toString', 3),
      add('/-', odd),
      test('/0/hasOwnProperty', 1),
    ]);
    expect(JSON.stringify(patched)).toBe(
      '[{"__proto__":{"x":1},"constructor":{"prototype":{"y":2}},"hasOwnProperty":1,"toString":3},[{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}},"hasOwnProperty":1}]]',
    );
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', ''])('edits the key %j below an array as any other that is there', key => {
    const list: unknown = JSON.parse(`[{${JSON.stringify(key)}:{"x":1,"y":[1]}}]`);
    const patched = result({ list }, [
      test(`/list/0/${key}/x`, 1),
      replace(`/list/0/${key}/x`, 2),
      add(`/list/0/${key}/y/-`, 2),
      copy(`/list/0/${key}`, '/copied'),
      move(`/list/0/${key}/y`, '/moved'),
      add('/list/0/beside', 1),
      remove(`/list/0/${key}`),
    ]);
    expect(patched).toStrictEqual({ list: [{ beside: 1 }], copied: { x: 2, y: [1, 2] }, moved: [1, 2] });
  });

  it('takes such keys in objects of the tree like any others', () => {
    const patched = result({}, [
      add('/__proto__', {}),
      add('/__proto__/x', 1),
      add('/constructor', {}),
      move('/__proto__/x', '/constructor/prototype'),
    ]);
    expect(JSON.stringify(patched)).toBe('{"__proto__":{},"constructor":{"prototype":1}}');
  });
});

describe('a patch at a path', () => {
  it('is relative to it', () => {
    expect(onTree({ a: { b: {} } }, tx => patchDocument(tx, ['a', 'b'], [add('/c', 1)])).value).toStrictEqual({ a: { b: { c: 1 } } });
  });

  it('makes the document, if there is none, only by adding it', () => {
    expect(onTree({}, tx => patchDocument(tx, ['a', 'b'], [add('', { c: 1 })])).value).toStrictEqual({ a: { b: { c: 1 } } });
    expect(() => onTree({}, tx => patchDocument(tx, ['a'], [add('/c', 1)]))).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(() => onTree({}, tx => patchDocument(tx, ['a'], [remove('')]))).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  it("can't write into an array, like any other write", () => {
    for (const path of [
      ['a', '0'],
      ['a', '0', 'b'],
    ]) {
      expect(() => onTree({ a: [{ b: {} }] }, tx => patchDocument(tx, path, [add('/c', 1)])), path.join('/')).toThrow(
        expect.objectContaining({ code: 'PATH_INVALID' }),
      );
    }
  });

  it('reads only the named keys of a wide object', () => {
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, { v: index }]));
    const patch = [replace('/k7/v', 'seven'), test('/k8', { v: 8 }), remove('/k9'), move('/k10/v', '/k11/w'), test('/k12/v', 12)];
    const { largestRead, operations } = onTree({ wide }, tx => patchDocument(tx, ['wide'], patch));
    expect(largestRead).toBe(1);
    expect(operations).toHaveLength(4);
  });

  it('does not list the keys of the object that it is applied to', () => {
    const listed: string[] = [];
    onTree({ wide: { a: { b: 1 }, c: 2 } }, tx => {
      const target: TransactionTarget = {
        get: path => tx.get(path),
        has: path => tx.has(path),
        kind: path => tx.kind(path),
        put: (path, value) => tx.put(path, value),
        delete: path => tx.delete(path),
        keys: path => {
          listed.push(path.join('/'));
          return tx.keys(path);
        },
      };
      patchDocument(target, ['wide'], [replace('/a/b', 3), add('/d', 4), remove('/c')]);
    });
    expect(listed).toEqual([]);
  });

  it('of many operations does what as many patches of one operation do', () => {
    const place = fc.array(fc.constantFrom('a', 'b', '0', '1', '-'), { minLength: 1, maxLength: 3 }).map(keys => `/${keys.join('/')}`);
    const value = fc.constantFrom<unknown>(1, 'x', {}, { a: { b: 2 } }, [1, 2], { b: [] });
    const operation = fc.oneof(
      fc.tuple(place, value).map(([path, item]) => add(path, item)),
      fc.tuple(place, value).map(([path, item]) => replace(path, item)),
      place.map(remove),
      fc.tuple(place, place).map(([from, path]) => copy(from, path)),
    );
    const many = Array.from({ length: 300 }, (_, index) => add(`/many/k${index % 90}`, index));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), operations => {
        const start = { at: { a: { b: 1 }, b: [0, { a: 1 }], many: {} } };
        const done: object[] = [];
        const one = onTree(start, tx => {
          for (const each of [...operations, ...many]) {
            try {
              patchDocument(tx, ['at'], [each]);
              done.push(each);
            } catch {
              // It names what is not there: it is left out of the long patch.
            }
          }
        });
        expect(onTree(start, tx => patchDocument(tx, ['at'], done)).value).toEqual(one.value);
      }),
      { numRuns: 150 },
    );
  });
});
