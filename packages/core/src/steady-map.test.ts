import { expect, it } from 'vitest';
import { SteadyMap } from './steady-map.ts';

it.each([0, 1, 16_384, 16_385, 60_000])('holds each of %i texts, the last item that was set for it', count => {
  const map = new SteadyMap<number>();
  const expected = new Map<string, number>();
  const set = (key: string, item: number): void => {
    map.set(key, item);
    expected.set(key, item);
  };
  for (let index = 0; index < count; index++) {
    set(`k${index}`, index);
    // Another one, of the first or of those beyond.
    if (index % 7 === 0) set(`k${index >> 1}`, -index);
  }
  expect([...expected.keys()].map(key => map.get(key))).toEqual([...expected.values()]);
  expect(map.get('another')).toBeUndefined();
  expect(new Map(map)).toEqual(expected);
  expect([...map].length).toBe(expected.size);
});
