import type { FrameHeader } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { NewestTable } from './newest-table.ts';

const at = (epoch: number, epochId: string, revision: number) => ({ epoch, epochId, revision });
const first = { number: 1, id: 'a', base: ORIGIN };
const restart = { number: 1, id: 'b', base: at(1, 'a', 5) };
const promoted = { number: 2, id: 'c', base: at(1, 'b', 10) };
const beginning = (epoch: number, epochId: string, base: ReturnType<typeof at>) =>
  ({ beginsEpoch: true, epoch, epochId, base, last: at(epoch, epochId, base.revision + 1) }) as FrameHeader;

describe('a position in a topic', () => {
  test.for<[string, ReturnType<typeof at>, boolean]>([
    ['at the end of an epoch', at(1, 'b', 10), false],
    ['behind the end of an epoch', at(1, 'b', 11), true],
    ['of the epoch before a restart, behind it', at(1, 'a', 6), true],
    ['of a lower number that the table does not have', at(1, 'x', 3), true],
    ['of the last epoch', at(2, 'c', 99), false],
    ['of a restart that the table does not have yet', at(2, 'd', 99), false],
    ['of a higher epoch', at(3, 'e', 4), false],
  ])('%s: superseded is %s', ([, position, expected]) => {
    expect(new NewestTable([first, restart, promoted]).isSuperseded(position)).toBe(expected);
  });

  test('is superseded by no table', () => {
    expect(new NewestTable().isSuperseded(at(1, 'a', 1))).toBe(false);
  });

  test('is superseded as soon as a frame there began a higher epoch before it, and an older table changes nothing', () => {
    const table = new NewestTable([first]);
    expect(table.isSuperseded(at(1, 'a', 9))).toBe(false);
    table.read(beginning(1, 'b', at(1, 'a', 5)));
    expect(table.isSuperseded(at(1, 'a', 9))).toBe(false);
    table.read(beginning(2, 'c', at(1, 'a', 7)));
    table.hear([first]);
    expect([at(1, 'a', 7), at(1, 'a', 8), at(2, 'c', 8)].map(each => table.isSuperseded(each))).toEqual([false, true, false]);
  });

  test('of an epoch that a still higher one left behind is superseded', () => {
    const table = new NewestTable([first, { ...promoted, base: at(1, 'a', 4) }]);
    table.read(beginning(3, 'd', at(1, 'a', 6)));
    expect([at(1, 'a', 6), at(2, 'c', 5), at(1, 'a', 7)].map(each => table.isSuperseded(each))).toEqual([false, true, true]);
    table.hear([first, { ...promoted, base: at(1, 'a', 4) }, { number: 3, id: 'x', base: at(2, 'c', 9) }]);
    expect(table.isSuperseded(at(2, 'c', 5))).toBe(false);
  });
});
