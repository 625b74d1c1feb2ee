import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frames, step } from '../../test/made-frames.ts';
import { exportValue } from '../tree/content.ts';
import { decodeChangeSets } from './collect-sink.ts';
import type { Frame } from './frame.ts';
import { TreeNode, type Child } from '../tree/node.ts';
import type { Path } from '../tree/path.ts';
import { getFrom } from '../tree/tree.ts';
import { PartialTree } from './partial-tree.ts';
import { PathSet } from './path-set.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

const pairs: Value = Array.from({ length: 5_000 }, (_, index) => [[index], { a: [index, { [`k${index}`]: 'x' }], c: [] }, {}]);

test.each<[string, Value]>([
  ['an array', pairs],
  ['an object with an array', { list: pairs, empty: {}, other: [[]] }],
])('%s of many small ones that is not wanted is read over in steps, and what follows is read', (_name, value) => {
  const set = new PathSet();
  set.add(['wanted']);
  const partial = new PartialTree(set);
  const runs = [
    [
      { path: ['a'], value, pin: false },
      { path: ['wanted', 'k7'], value: { k8: 1 }, pin: false },
      { path: ['b'], value: [pairs], pin: false },
      { path: ['wanted', 'last'], value: 2, pin: false },
    ],
  ];
  let pauses = 0;
  for (const frame of frames(new Tree(), runs, 'binary')) pauses += [...partial.frameSteps(frame)].length;
  expect(exportValue(partial.take())).toEqual({ wanted: { k7: { k8: 1 }, last: 2 } });
  expect(pauses).toBeGreaterThan(10);
});

function* add(partial: PartialTree, frame: Frame, how: 'frames' | 'operations' | 'operations in steps'): Generator<void> {
  if (how === 'frames') return yield* partial.frameSteps(frame);
  for (const { operations } of decodeChangeSets(frame)) {
    for (const operation of operations) {
      if (how === 'operations in steps' && operation.type === 'put') yield* partial.put(operation.path, operation.value);
      else partial.apply(operation);
    }
  }
}

function valueAt(root: TreeNode, path: Path): Value | undefined {
  const child = getFrom(root, path);
  return child instanceof TreeNode ? exportValue(child) : child;
}

/** Values, and empty objects, that are neither in a set nor above something in it. */
function strangers(child: Child, set: PathSet['root'] | undefined, path: Path): Path[] {
  if (set?.isWhole === true) return [];
  if (set === undefined) return [path];
  if (!(child instanceof TreeNode)) return [];
  return Object.keys(exportValue(child) as object).flatMap(key =>
    strangers(getFrom(child, [key]) as Child, set.children.get(key), [...path, key]),
  );
}

test.each([
  ['binary', 'frames'],
  ['json', 'frames'],
  ['binary', 'operations'],
  ['binary', 'operations in steps'],
] as const)('a part is what stands there in the whole tree, and nothing else is built: %s, from %s', (codec, how) => {
  // Keys in common with what is put, in the middle of it and below.
  const key = fc.oneof(
    fc.constantFrom('a', 'b', '', '__proto__', '0', 'n'),
    fc.integer({ min: 0, max: 50 }).map(n => `k${n}`),
  );
  const runs = fc.array(fc.array(step, { minLength: 1, maxLength: 12 }), { maxLength: 6 });
  const paths = fc.array(fc.array(key, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(runs, paths, (made, wanted) => {
      const whole = new Tree();
      const set = new PathSet();
      for (const path of wanted) set.add(path);
      const partial = new PartialTree(set);
      for (const frame of frames(whole, made, codec)) Array.from(add(partial, frame, how));
      const root = partial.take();
      for (const path of wanted) expect(valueAt(root, path)).toEqual(valueAt(whole.root, path));
      expect(strangers(root, set.root, [])).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
