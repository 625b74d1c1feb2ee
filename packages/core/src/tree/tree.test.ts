import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exportValue, importValue, sameValue } from './content.ts';
import { hashKey, lanes } from './digest.ts';
import { childKeys, lookup, TreeNode } from './node.ts';
import type { Path } from './path.ts';
import { digestOf, getFrom, Tree, UNCHANGED } from './tree.ts';
import type { Value } from './value.ts';

const KEYS = ['a', 'b', '', '/', '~', '__proto__', 'constructor', 'toString', '0', '17', '4294967295', 'ключ', '🌲'];
/** Enough keys to make nodes wide, and some whose hashes begin alike. */
const key = fc.oneof(
  fc.constantFrom(...KEYS),
  fc.integer({ min: 0, max: 60 }).map(n => `k${n}`),
);
const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.string({ unit: 'grapheme' }),
);
const { value } = fc.letrec<{ value: Value }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 8 }).map(entries => Object.fromEntries(entries) as Value),
    fc.constant(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, n])) as Value),
  ),
}));

type Step =
  | { readonly type: 'put'; readonly path: Path; readonly value: Value }
  | { readonly type: 'delete'; readonly path: Path }
  | { readonly type: 'pin' | 'mix' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('put' as const), path: fc.array(key, { minLength: 1, maxLength: 4 }), value }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('delete' as const), path: fc.array(key, { minLength: 1, maxLength: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('pin' as const, 'mix' as const) }) },
);

/** The tree's own rules, on plain values: slow, and plain to see. */
class Model {
  root = new Map<string, unknown>();

  put(path: Path, item: Value): boolean {
    let at = this.root;
    for (const segment of path.slice(0, -1)) {
      const next = at.get(segment);
      if (next !== undefined && !(next instanceof Map)) return false;
      if (next === undefined) at.set(segment, new Map());
      at = at.get(segment) as Map<string, unknown>;
    }
    at.set(path.at(-1)!, toModel(item));
    return true;
  }

  delete(path: Path): void {
    let at: unknown = this.root;
    for (const segment of path.slice(0, -1)) at = at instanceof Map ? at.get(segment) : undefined;
    if (at instanceof Map) at.delete(path.at(-1)!);
  }
}

function toModel(item: Value): unknown {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
  return new Map(Object.entries(item).map(([name, child]) => [name, toModel(child)]));
}

function fromModel(item: unknown): Value {
  if (!(item instanceof Map)) return item as Value;
  const entries = [...(item as Map<string, unknown>)].map(([name, child]) => [name, fromModel(child)]);
  // fromEntries defines properties, also __proto__.
  return Object.fromEntries(entries) as Value;
}

function run(tree: Tree, model: Model, { type, ...rest }: Step): void {
  if (type === 'pin') tree.pin();
  if (type === 'mix') tree.mixTouched();
  if (type === 'put') {
    const { path, value: item } = rest as { path: Path; value: Value };
    const child = importValue(item, path, tree.generation);
    if (model.put(path, item)) tree.put(path, child);
    else expect(() => tree.put(path, child)).toThrow(/leads through/);
  }
  if (type === 'delete') {
    const { path } = rest as { path: Path };
    let through = false;
    for (let length = 1; length < path.length; length++) {
      const above = getFrom(tree.root, path.slice(0, length));
      through ||= above !== undefined && !(above instanceof TreeNode);
      if (!(above instanceof TreeNode)) break;
    }
    if (through) expect(() => tree.delete(path)).toThrow(/leads through/);
    else tree.delete(path);
    model.delete(path);
  }
}

function rebuilt(tree: Tree): Tree {
  return new Tree(importValue(exportValue(tree.root), [], 1) as TreeNode);
}

describe('a tree', () => {
  it('equals a plain model after any steps, and has the digest of a tree that was built at once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const tree = new Tree();
        const model = new Model();
        for (const one of steps) {
          tree.undo.clear();
          run(tree, model, one);
        }
        expect(sameValue(exportValue(tree.root), fromModel(model.root))).toBe(true);
        expect(tree.digest()).toBe(rebuilt(tree).digest());
      }),
      { numRuns: 300 },
    );
  });

  it('leaves pinned roots as they were, in content and digest', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.array(step, { minLength: 1, maxLength: 30 }), (first, then) => {
        const tree = new Tree();
        const model = new Model();
        for (const one of first) run(tree, model, one);
        const pinned = tree.pin();
        const before = exportValue(pinned);
        const digest = digestOf(pinned);
        for (const one of then) run(tree, model, one);
        tree.mixTouched();
        expect(sameValue(exportValue(pinned), before)).toBe(true);
        expect(digestOf(pinned)).toBe(digest);
        tree.restore(pinned);
        expect(tree.digest()).toBe(digest);
      }),
      { numRuns: 200 },
    );
  });

  it('takes back the last change, or all changes since the log was cleared, with their digests', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.array(step, { minLength: 1, maxLength: 20 }), (first, then) => {
        const tree = new Tree();
        const model = new Model();
        for (const one of first) run(tree, model, one);
        tree.undo.clear();
        const before = exportValue(tree.root);
        const digest = rebuilt(tree).digest();
        const one = then[0]!;
        if (one.type === 'put' || one.type === 'delete') {
          run(tree, model, one);
          tree.takeBackLast(one.path);
          expect(sameValue(exportValue(tree.root), before)).toBe(true);
          expect(tree.digest()).toBe(digest);
        }
        tree.undo.clear();
        for (const another of then) if (another.type !== 'pin') run(tree, model, another);
        tree.takeBackAll();
        expect(sameValue(exportValue(tree.root), before)).toBe(true);
        expect(tree.digest()).toBe(digest);
      }),
      { numRuns: 200 },
    );
  });

  it('changes nothing when a value equal to the present one is put', () => {
    const tree = new Tree();
    const put = (path: Path, item: unknown): number => tree.put(path, importValue(item, path, tree.generation));
    expect(put(['a'], { x: [1, { y: null }], z: -0 })).toBe(1);
    expect(put(['a'], { z: 0, x: [1, { y: null }] })).toBe(UNCHANGED);
    expect(put(['a', 'z'], 0)).toBe(UNCHANGED);
    expect(put(['a', 'x'], [1, { y: 0 }])).toBe(2);
    expect(tree.delete(['a', 'nothing', 'here'])).toBe(UNCHANGED);
  });

  it('returns the topmost path that changed when parents were made', () => {
    const tree = new Tree();
    expect(tree.put(['a', 'b', 'c'], 1)).toBe(1);
    expect(tree.put(['a', 'd', 'e', 'f'], 1)).toBe(2);
    expect(tree.put(['a', 'b', 'c'], 2)).toBe(3);
  });

  it('keeps a wide object whole while keys come and go', () => {
    const tree = new Tree();
    const keys = Array.from({ length: 5_000 }, (_, n) => `key-${n}`);
    for (const name of keys) tree.put(['wide', name], name);
    const pinned = tree.pin();
    for (const name of keys.slice(0, 4_990)) tree.delete(['wide', name]);
    const wide = tree.get(['wide']) as TreeNode;
    expect(childKeys(wide).toSorted()).toEqual(keys.slice(4_990).toSorted());
    expect(tree.digest()).toBe(rebuilt(tree).digest());
    expect(childKeys(getFrom(pinned, ['wide']) as TreeNode)).toHaveLength(5_000);
  });

  it('keeps keys apart whose hashes are equal', () => {
    // Found by search: their low lanes are the same 32 bits.
    const [one, two] = collidingKeys();
    const tree = new Tree();
    for (let n = 0; n < 40; n++) tree.put(['w', `k${n}`], n);
    tree.put(['w', one], 'one');
    tree.put(['w', two], 'two');
    expect([tree.get(['w', one]), tree.get(['w', two])]).toEqual(['one', 'two']);
    tree.delete(['w', one]);
    expect([tree.get(['w', one]), tree.get(['w', two])]).toEqual([undefined, 'two']);
    expect(tree.digest()).toBe(rebuilt(tree).digest());
  });

  it('reads into arrays, by index, and never into what objects inherit', () => {
    const tree = new Tree();
    tree.put(['a'], importValue([{ b: [10, 20] }], ['a'], tree.generation));
    expect(tree.get(['a', '0', 'b', '1'])).toBe(20);
    expect(['length', '-1', '01', 'constructor'].map(name => tree.get(['a', name]))).toEqual([undefined, undefined, undefined, undefined]);
    expect(tree.get(['a', '0', 'toString'])).toBeUndefined();
    expect(lookup(tree.root, 'constructor')).toBeUndefined();
  });
});

function collidingKeys(): [string, string] {
  const seen = new Map<number, string>();
  for (let n = 0; ; n++) {
    const name = `c${n}`;
    hashKey(name);
    const other = seen.get(lanes.lo);
    if (other !== undefined) return [other, name];
    seen.set(lanes.lo, name);
  }
}
