import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exportValue, importValue } from './content.ts';
import { hashKey, lanes } from './digest.ts';
import { childKeys, lookup, type TreeNode } from './node.ts';
import { ASKED_FIRST, NodeShape, STEPS_LIMIT } from './node-shape.ts';
import { Tree } from './tree.ts';
import type { Value } from './value.ts';

function shapeOf(keys: readonly string[]): NodeShape {
  return keys.reduce((shape, key) => shape.with(key), NodeShape.empty);
}

function hashAt(shape: NodeShape, index: number): { lo: number; hi: number } {
  shape.hashAt(index);
  return { ...lanes };
}

function hashOf(key: string): { lo: number; hi: number } {
  hashKey(key);
  return { ...lanes };
}

/** A string that no other one is identical with, also for V8. */
function copyOf(key: string): string {
  return Buffer.from(key).toString();
}

describe('A shape', () => {
  const odd = ['', '__proto__', 'constructor', 'length', '0', '12', '-1', 'é', '🙂', 'a/b~c'];

  it('has the index of each of its keys, and of no other', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.oneof(fc.constantFrom(...odd), fc.string({ maxLength: 4 })), { maxLength: 32 }),
        fc.string(),
        (keys, other) => {
          const shape = shapeOf(keys);
          expect(shape.keys).toEqual(keys);
          // At first it looks through the keys; when it is asked more often it makes a table.
          for (let asked = 0; asked <= ASKED_FIRST + 1; asked++) {
            for (const [index, key] of keys.entries()) {
              expect(shape.indexOf(copyOf(key))).toBe(index);
              expect(hashAt(shape, index)).toEqual(hashOf(key));
            }
            expect(shape.indexOf(other)).toBe(keys.indexOf(other));
          }
        },
      ),
    );
  });

  it('is the same one for the same keys in the same order, however they came', () => {
    const shape = shapeOf(['a', 'b', 'c']);
    expect(shapeOf(['a', 'b', 'c'].map(copyOf))).toBe(shape);
    expect(shapeOf(['a', 'x', 'b', 'c']).without(1)).toBe(shape);
    expect(shapeOf(['b', 'a', 'c'])).not.toBe(shape);
    expect(shape.without(2)).toBe(shapeOf(['a', 'b']));
    expect(shapeOf(['a']).without(0)).toBe(NodeShape.empty);
  });

  it('stays what it is when there are more shapes than are known at a time', () => {
    const before = shapeOf(['kept', 'too']);
    for (let n = 0; n < 2 * STEPS_LIMIT; n++) expect(shapeOf([`only ${n}`]).indexOf(`only ${n}`)).toBe(0);
    const after = shapeOf(['kept', 'too']);
    expect(after).not.toBe(before);
    expect(shapeOf(['kept', 'too'])).toBe(after);
    for (const shape of [before, after]) expect(['kept', 'too', 'other'].map(key => shape.indexOf(key))).toEqual([0, 1, -1]);
  });
});

/** A site's object, and what a plain model says of it. */
type Model = Map<string, Map<string, number | boolean>>;

/** Keys for records, of which many nodes have the same, for slots inside a node and behind it. */
const FEW = Array.from({ length: 36 }, (_, index) => `f${index}`);
const keyOf = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...FEW) },
  { weight: 2, arbitrary: fc.constantFrom('__proto__', 'constructor', '', '0', '7', '12', '4294967295') },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }).filter(text => text.isWellFormed()) },
);
const size = fc.integer({ min: 0, max: 33 });
const objectOf = fc.constantFrom('a', 'b', '7');
const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      type: fc.constant('put' as const),
      object: objectOf,
      key: keyOf,
      value: fc.oneof(fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true })),
    }),
  },
  { weight: 7, arbitrary: fc.record({ type: fc.constant('delete' as const), object: objectOf, key: keyOf, value: fc.constant(0) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom('pin' as const, 'fork' as const, 'restore' as const, 'take back' as const, 'others' as const),
      object: objectOf,
      key: keyOf,
      value: fc.constant(0),
    }),
  },
);

function copyModel(model: Model): Model {
  return new Map([...model].map(([object, members]) => [object, new Map(members)]));
}

function expectSame(root: TreeNode, model: Model): void {
  for (const [object, members] of model) {
    const node = lookup(root, object) as TreeNode;
    expect(node.size).toBe(members.size);
    expect(new Set(childKeys(node))).toEqual(new Set(members.keys()));
    for (const [key, value] of members) expect(lookup(node, copyOf(key))).toBe(value);
    // Keys in the order in which they came, as long as the node is narrow and has been.
    if (node.shape !== undefined) expect(childKeys(node)).toEqual([...members.keys()]);
  }
}

/** Nodes with keys of their own: more of them than shapes are known. */
let others = 0;
function makeOthers(tree: Tree): void {
  const root: { [key: string]: Value } = {};
  for (let n = 0; n < 300; n++) root[`other ${n}`] = { [`one ${others}`]: 1, [`two ${others}`]: 2, [`three ${others++}`]: 3 };
  tree.put(['others'], importValue(root, ['others'], tree.generation));
}

describe('Narrow nodes', () => {
  it('hold what a plain map holds, under any changes, pins, forks and ways back, of few shapes and of many', () => {
    fc.assert(
      fc.property(fc.tuple(size, size, size), fc.array(step, { maxLength: 150 }), (sizes, steps) => {
        let tree = new Tree();
        let model: Model = new Map(['a', 'b', '7'].map((object, at) => [object, new Map(FEW.slice(0, sizes[at]).map(key => [key, true]))]));
        for (const [object, members] of model) tree.put([object], importValue(Object.fromEntries(members), [object], tree.generation));
        const pinned: { readonly root: TreeNode; readonly model: Model }[] = [{ root: tree.pin(), model: copyModel(model) }];
        for (const { type, object, key, value } of steps) {
          const members = model.get(object)!;
          if (type === 'put') {
            tree.put([object, key], value === 0 ? 0 : value);
            members.set(key, value === 0 ? 0 : value);
          } else if (type === 'delete') {
            expect(tree.delete([object, key]) >= 0).toBe(members.delete(key));
          } else if (type === 'others') {
            makeOthers(tree);
          } else if (type === 'take back') {
            tree.undo.clear();
            const had = members.get(key);
            tree.put([object, key], had === undefined ? 1 : !had);
            tree.takeBackLast([object, key]);
          } else if (type === 'restore') {
            const last = pinned.at(-1)!;
            tree.restore(last.root);
            model = copyModel(last.model);
          } else {
            pinned.push({ root: tree.pin(), model: copyModel(model) });
            if (type === 'fork') tree = tree.fork();
          }
        }
        expectSame(tree.root, model);
        for (const each of pinned) expectSame(each.root, each.model);
        expect(tree.digest()).toBe(new Tree(importValue(exportValue(tree.root), [], 1) as TreeNode).digest());
      }),
      { numRuns: 150 },
    );
  });

  it('give back the room of their keys when these are removed, one by one, from either end', () => {
    for (const from of ['first', 'last'] as const) {
      const tree = new Tree();
      for (const [n, key] of FEW.slice(0, 32).entries()) tree.put(['node', key], n);
      const node = lookup(tree.root, 'node') as TreeNode;
      const left = FEW.slice(0, 32);
      while (left.length > 0) {
        const key = from === 'first' ? left.shift()! : left.pop()!;
        tree.delete(['node', key]);
        expect(childKeys(node)).toEqual(left);
        expect(left.map(each => lookup(node, each))).toEqual(left.map(each => FEW.indexOf(each)));
      }
      expect(node.shape).toBe(NodeShape.empty);
      expect(node.more).toBeUndefined();
      expect([node.s0, node.s9]).toEqual([undefined, undefined]);
    }
  });
});
