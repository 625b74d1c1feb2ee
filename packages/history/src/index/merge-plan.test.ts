import { describe, expect, it } from 'vitest';
import { planMerge } from './merge-plan.ts';

/** Adds runs one after the other, and merges as planned. */
function grow(sizes: readonly number[]) {
  let runs: { readonly size: number; readonly continues: boolean }[] = [];
  let most = 0;
  let rewritten = 0;
  for (const size of sizes) {
    runs.push({ size, continues: true });
    for (let plan = planMerge(runs); plan !== undefined; plan = planMerge(runs)) {
      const merged = runs.slice(plan.from, plan.to).reduce((sum, run) => sum + run.size, 0);
      rewritten += merged;
      runs = [...runs.slice(0, plan.from), { size: merged, continues: true }, ...runs.slice(plan.to)];
    }
    most = Math.max(most, runs.length);
  }
  return { most, times: rewritten / sizes.reduce((sum, size) => sum + size, 0) };
}

describe('merging', () => {
  const cases: [string, readonly number[]][] = [
    ['a writer that is always fast', Array.from({ length: 800 }, () => 65_536)],
    ['a writer that is always slow', Array.from({ length: 4_000 }, () => 256)],
    ['one that is now fast, now slow', Array.from({ length: 4_000 }, (_, run) => (run % 17 === 0 ? 65_536 : 300))],
    ['one whose rate changes all the time', Array.from({ length: 3_000 }, (_, run) => 256 + ((run * 7_919) % 60_000))],
  ];

  it.each(cases)('keeps runs few, and rewrites a change a few times: %s', (_, sizes) => {
    const { most, times } = grow(sizes);
    expect(most).toBeLessThanOrEqual(24);
    expect(times).toBeLessThan(12);
  });

  it('leaves runs alone between which something is missing', () => {
    const runs = Array.from({ length: 14 }, (_, index) => ({ size: 256, continues: index !== 7 }));
    expect(planMerge(runs)).toBeUndefined();
    expect(planMerge(runs.map(run => ({ ...run, continues: true })))).toEqual({ from: 0, to: 8 });
  });

  it('makes no run of more than 64 Mi change sets', () => {
    expect(planMerge(Array.from({ length: 40 }, () => ({ size: 9_000_000, continues: true })))).toBeUndefined();
  });
});
