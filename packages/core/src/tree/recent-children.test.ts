import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exportValue, importValue } from './content.ts';
import { RecentChildren } from './recent-children.ts';
import type { TreeNode } from './node.ts';
import { Tree } from './tree.ts';

const WIDTH = 2_000;
/** Few keys, so that steps meet, and some whose places are the same. */
const device = fc.integer({ min: 0, max: 40 }).map(n => `dev-${n * 47}`);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('leaf' as const), device, n: fc.integer() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('record' as const), device, n: fc.integer() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('plain' as const), device, n: fc.integer() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), device, n: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('pin' as const, 'restore' as const), device, n: fc.constant(0) }) },
);

type Model = Map<string, number | { readonly v: number }>;

function filled(): { readonly tree: Tree; readonly model: Model } {
  const tree = new Tree();
  const model: Model = new Map();
  for (let n = 0; n < WIDTH; n++) {
    tree.put(['wide', `dev-${n}`, 'v'], n);
    model.set(`dev-${n}`, { v: n });
  }
  return { tree, model };
}

interface Numbered {
  readonly n: number;
}

function numbered(n: number): Numbered {
  return { n };
}

function contentOf(root: TreeNode): unknown {
  return (exportValue(root) as { readonly wide: unknown }).wide;
}

describe('recent children', () => {
  it('are those of the tree after any changes, pins and ways back', () => {
    const first = filled();
    const start = first.tree.pin();
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const tree = new Tree(start);
        let model = new Map(first.model);
        let pinned = { root: tree.pin(), model: new Map(model) };
        for (const { type, device: name, n } of steps) {
          if (type === 'pin') pinned = { root: tree.pin(), model: new Map(model) };
          if (type === 'restore') {
            tree.restore(pinned.root);
            model = new Map(pinned.model);
          }
          if (type === 'record' || type === 'plain') {
            const value = type === 'plain' ? n : { v: n };
            tree.put(['wide', name], importValue(value, ['wide', name], tree.generation));
            model.set(name, value);
          }
          if (type === 'delete') {
            tree.delete(['wide', name]);
            model.delete(name);
          }
          if (type !== 'leaf') continue;
          if (typeof model.get(name) === 'number') {
            expect(() => tree.put(['wide', name, 'v'], n)).toThrow(/leads through/);
          } else {
            tree.put(['wide', name, 'v'], n);
            model.set(name, { v: n });
          }
        }
        expect(contentOf(tree.root)).toEqual(Object.fromEntries(model));
        expect(contentOf(pinned.root)).toEqual(Object.fromEntries(pinned.model));
        expect(tree.digest()).toBe(new Tree(importValue(exportValue(tree.root), [], 1) as TreeNode).digest());
      }),
      { numRuns: 60 },
    );
  });

  it('are found only under their own keys, and not once they are forgotten', () => {
    const recent = new RecentChildren<Numbered>();
    const child = numbered(1);
    recent.set(7, 'seven', child, 10_000);
    expect(recent.get(7, 'seven')).toBe(child);
    expect(recent.get(7, 'other')).toBeUndefined();
    expect(recent.spelledKey(7, Buffer.from('seven'), 0, 5)).toBe('seven');
    expect(recent.spelledKey(7, Buffer.from('eleven'), 0, 6)).toBeUndefined();
    recent.forget(7, numbered(2));
    expect(recent.get(7, 'seven')).toBe(child);
    recent.forget(7, child);
    expect(recent.get(7, 'seven')).toBeUndefined();
  });

  it('have other places where keys have the same hash, and replace one another when these are taken', () => {
    const recent = new RecentChildren<Numbered>();
    const children = Array.from({ length: 9 }, (_, n) => numbered(n));
    const found = () => children.filter((child, n) => recent.get(7, `k${n}`) === child).length;
    for (const [n, child] of children.slice(0, 8).entries()) recent.set(7, `k${n}`, child, 600);
    expect(found()).toBe(8);
    recent.set(7, 'k8', children[8]!, 600);
    expect(found()).toBe(8);
    expect(recent.get(7, 'k8')).toBe(children[8]);
    for (const child of children) recent.forget(7, child);
    expect(found()).toBe(0);
  });

  it('get more places while they replace one another, up to the size of the node', () => {
    const recent = new RecentChildren<Numbered>();
    const children = Array.from({ length: 4_096 }, (_, n) => numbered(n));
    for (let round = 0; round < 4; round++) children.forEach((child, n) => recent.set(n, `k${n}`, child, 4_096));
    expect(children.filter((child, n) => recent.get(n, `k${n}`) === child)).toHaveLength(4_096);
  });

  it('get no more places than twice the children of the node', () => {
    const recent = new RecentChildren<Numbered>();
    const children = Array.from({ length: 4_096 }, (_, n) => numbered(n));
    for (let round = 0; round < 4; round++) children.forEach((child, n) => recent.set(n, `k${n}`, child, 600));
    expect(children.filter((child, n) => recent.get(n, `k${n}`) === child).length).toBeLessThanOrEqual(1_024 + 8);
  });

  it('are listed by the hashes of their keys, with nothing where none is remembered', () => {
    const recent = new RecentChildren<Numbered>();
    const child = numbered(1);
    recent.set(7, 'seven', child, 600);
    // Right behind the places of the hash 8.
    recent.set(16, 'sixteen', numbered(2), 600);
    const [keys, children]: [(string | undefined)[], (Numbered | undefined)[]] = [
      ['old', 'old'],
      [child, child],
    ];
    recent.list(Int32Array.of(8, 7, 9), 2, keys, children);
    expect(keys).toEqual([undefined, 'seven']);
    expect(children).toEqual([undefined, child]);
  });
});
