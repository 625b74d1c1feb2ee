import { any, formatPattern, type Operation, type Path, type Pattern, type Value } from '@evertree/core';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTarget } from './target.ts';
import { clip, targetPattern, type PlainOperation } from './watch-pattern.ts';

type Tree = { [key: string]: Value };

function isObject(value: Value | undefined): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A small model of the tree: an operation on a plain object. */
function apply(tree: Tree, { type, path, value }: { type: string; path: Path; value?: Value }): Tree {
  const [key, ...rest] = path;
  if (key === undefined) return type === 'put' && isObject(value) ? value : {};
  const child = tree[key];
  const { [key]: _, ...others } = tree;
  if (rest.length > 0) {
    if (type === 'delete' && !isObject(child)) return tree;
    return { ...others, [key]: apply(isObject(child) ? child : {}, { type, path: rest, ...(value === undefined ? {} : { value }) }) };
  }
  return type === 'delete' ? others : { ...others, [key]: value ?? null };
}

function applyPlain(tree: Tree, [type, pointer, value]: PlainOperation): Tree {
  return apply(tree, { type, path: pointer.split('/').slice(1), ...(value === undefined ? {} : { value }) });
}

/** What stands at the paths that match. */
function matches(tree: Tree, [segment, ...rest]: Pattern, pointer = ''): Record<string, Value> {
  if (segment === undefined) return { [pointer]: tree };
  const found: Record<string, Value> = {};
  for (const key of segment === any ? Object.keys(tree) : [segment]) {
    const child = tree[key];
    if (child === undefined) continue;
    if (rest.length === 0) found[`${pointer}/${key}`] = child;
    else if (isObject(child)) Object.assign(found, matches(child, rest, `${pointer}/${key}`));
  }
  return found;
}

const key = fc.constantFrom('a', 'b', 'c');
const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof({ depthSize: 'small' }, fc.nat(3), fc.constant([{ a: 1 }]), fc.dictionary(key, tie('value'), { noNullPrototype: true })),
})).value;
const operation: fc.Arbitrary<Operation> = fc
  .record({ path: fc.array(key, { maxLength: 4 }), value: fc.option(value) })
  .map(({ path, value: put }): Operation =>
    put === null ? { type: 'delete', path } : { type: 'put', path, value: path.length > 0 || isObject(put) ? put : {} },
  );
const pattern = fc.array(fc.oneof(key, fc.constant<typeof any>(any)), { maxLength: 4 });

/** What a watch is told of an operation, without the pauses. */
function toldOf(each: Operation, watched: Pattern): PlainOperation[] {
  return [...clip(each, watched)].filter(told => told !== undefined) as PlainOperation[];
}

describe('what a watch is told', () => {
  test('is enough to know the values at the watched paths at any time', () => {
    fc.assert(
      fc.property(pattern, fc.array(operation, { maxLength: 12 }), (watched, operations) => {
        let tree: Tree = {};
        let mirror: Tree = {};
        for (const each of operations) {
          tree = apply(tree, each);
          for (const told of toldOf(each, watched)) mirror = applyPlain(mirror, told);
          expect(matches(mirror, watched)).toEqual(matches(tree, watched));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('has nothing of other paths', () => {
    fc.assert(
      fc.property(pattern, operation, (watched, each) => {
        for (const told of toldOf(each, watched)) {
          if (told[0] === 'delete') continue;
          const path = told[1].split('/').slice(1);
          expect(path.length).toBeGreaterThanOrEqual(watched.length);
          watched.forEach((segment, level) => expect([any, path[level]]).toContain(segment));
        }
      }),
    );
  });
});

describe('the pattern of a target', () => {
  test.each([
    ['/watch', []],
    ['/watch/', ['']],
    ['/watch/a/*/b', ['a', any, 'b']],
    ['/watch/%2A', ['*']],
    ['/watch/a*', ['a*']],
    ['/watch/..', ['..']],
    ['/watch/a%2Fb/~1', ['a/b', '/']],
    ['/watch?pointer=/a/*', ['a', any]],
  ])('%s', (target, expected) => {
    const found = targetPattern(parseTarget(target));
    expect(found).toEqual(expected);
    expect(formatPattern(found).split('/')).toHaveLength(expected.length + 1);
  });
});
