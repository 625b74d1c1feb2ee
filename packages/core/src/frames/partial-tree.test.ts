import { expect, test } from 'vitest';
import { frames } from '../../test/made-frames.ts';
import { exportValue } from '../tree/content.ts';
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
