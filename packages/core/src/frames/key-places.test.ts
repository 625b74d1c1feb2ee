import { expect, test } from 'vitest';
import { KeyPlaces } from './key-places.ts';

test('tells where each of many keys stands, by its number from 1', () => {
  const places = new KeyPlaces();
  const count = 10_000;
  for (let number = 1; number <= count; number++) expect(places.push(number * 3, number * 3 + 2)).toBe(number);
  expect(places.length).toBe(count + 1);
  for (let number = 1; number <= count; number++) expect([places.start(number), places.end(number)]).toEqual([number * 3, number * 3 + 2]);
});
