import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sortSteps } from './sort-steps.ts';

const compare = (a: { readonly key: number }, b: { readonly key: number }) => a.key - b.key;

test('items are sorted in steps as they are at once, equal ones in the order in which they came', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.integer({ min: 1, max: 30_000 }),
      (count, seed, keys) => {
        let drawn = seed;
        const items = Array.from({ length: count }, (_, index) => {
          drawn = (Math.imul(drawn, 1_103_515_245) + 12_345) >>> 0;
          return { key: drawn % keys, index };
        });
        const steps = sortSteps(items, compare);
        let pauses = 0;
        let step = steps.next();
        for (; step.done !== true; step = steps.next()) pauses++;
        expect(step.value).toEqual(items.toSorted(compare));
        expect(pauses).toBeGreaterThanOrEqual(Math.floor(count / 4_096));
      },
    ),
    { numRuns: 30 },
  );
});
