import { describe, expect, test } from 'vitest';
import { OffsetIndex } from './offset-index.ts';

/** A topic whose frame at `offset` goes from `revision` 10 × `offset` to the next ten. */
function indexUpTo(last: number): OffsetIndex {
  const index = new OffsetIndex(5n, 50);
  for (let offset = 5; offset <= last; offset++) {
    index.add(BigInt(offset), 10 * offset);
    index.reach(BigInt(offset + 1), 10 * offset + 10);
  }
  return index;
}

describe('the offset from which frames follow a tree', () => {
  test.for<[string, number, bigint]>([
    ['begins where the frame does that it stands before', 70, 7n],
    ['begins with the frame that it stands in the middle of', 79, 7n],
    ['is at the end when it holds everything there', 100, 10n],
    ['is at the end when it is further than the topic', 123, 10n],
    ['is at the beginning when it is older than what is remembered', 3, 5n],
  ])('%s', ([, revision, offset]) => {
    expect(indexUpTo(9).follow(revision)).toBe(offset);
  });

  test('is never too high, however much was forgotten', () => {
    const index = indexUpTo(20_000);
    for (let revision = 50; revision < 200_000; revision += 997) {
      expect(index.follow(revision)).toBeLessThanOrEqual(BigInt(Math.max(5, Math.floor(revision / 10))));
    }
  });
});
