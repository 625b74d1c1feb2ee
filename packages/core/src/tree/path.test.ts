import { expect, test } from 'vitest';
import { commonPath } from './path.ts';

test('the common path of two is what they have alike from the root on', () => {
  const cases: [string[], string[], string[]][] = [
    [
      ['a', 'b', 'c'],
      ['a', 'b', 'd'],
      ['a', 'b'],
    ],
    [
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ],
    [
      ['a', 'b'],
      ['a', 'b', 'c'],
      ['a', 'b'],
    ],
    [
      ['a', 'b', 'c'],
      ['a', 'b'],
      ['a', 'b'],
    ],
    [['a'], ['b'], []],
    [[], ['a'], []],
    [['x', 'b'], ['a', 'b'], []],
  ];
  for (const [one, other, common] of cases) expect(commonPath(one, other)).toEqual(common);
});
