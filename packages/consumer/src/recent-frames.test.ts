import type { ExactPosition } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { RecentFrames } from './recent-frames.ts';

function at(revision: number): ExactPosition {
  return { epoch: 1, epochId: '1'.repeat(16), revision };
}

function filled(capacity: number, ends: readonly number[]): RecentFrames {
  const recent = new RecentFrames(capacity);
  for (const [index, revision] of ends.entries()) recent.add(at(ends[index - 1] ?? 0), at(revision), `d${revision}`);
  return recent;
}

describe('the memory of the frames applied last', () => {
  it('holds where each frame ended, and the digest there', () => {
    expect(filled(8, [3, 5, 9]).find(5)).toMatchObject({ digest: 'd5' });
  });

  it('knows that no frame ended between two remembered ones', () => {
    expect(filled(8, [3, 5, 9]).find(4)).toBe('absent');
  });

  it('forgets what came before frames of this site itself', () => {
    const recent = filled(8, [3, 5, 9]);
    recent.add(at(12), at(13), 'd13');
    expect([5, 9, 11, 13].map(revision => recent.find(revision))).toMatchObject([undefined, undefined, undefined, { digest: 'd13' }]);
  });

  it('does not know frames that came before, that are to come, or that were forgotten', () => {
    expect(filled(8, [3, 5, 9]).find(2)).toBeUndefined();
    expect(filled(8, [3, 5, 9]).find(10)).toBeUndefined();
    expect(new RecentFrames(8).find(2)).toBeUndefined();
    const cleared = filled(8, [3, 5, 9]);
    cleared.clear();
    expect(cleared.find(5)).toBeUndefined();
    const long = filled(
      4,
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
    expect(long.find(50)).toBeUndefined();
    expect(long.find(97)).toMatchObject({ digest: 'd97' });
  });

  it('is at least as many frames as the capacity, and fewer than twice as many', () => {
    for (let count = 1; count <= 30; count++) {
      const ends = Array.from({ length: count }, (_, index) => index + 1);
      const kept = ends.filter(end => filled(4, ends).find(end) !== undefined);
      expect(kept).toEqual(ends.slice(-kept.length));
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(count, 4));
      expect(kept.length).toBeLessThan(8);
    }
  });
});
