import { expect, it } from 'vitest';
import { SpelledKeys } from './spelled-keys.ts';

it('keys are found by their numbers, also across pages', () => {
  const keys = new SpelledKeys();
  const count = 20_000;
  for (let number = 1; number < count; number++) expect(keys.push(`k${number}`, number, -number)).toBe(number);
  expect(keys.length).toBe(count);
  for (let number = 1; number < count; number++) {
    expect([keys.text(number), keys.lo(number), keys.hi(number)]).toEqual([`k${number}`, number, -number]);
  }
});
