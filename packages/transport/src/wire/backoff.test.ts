import { describe, expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

const even = (fraction: number) => ({ bytes: () => new Uint8Array(), fraction: () => fraction });
const waits = (backoff: Backoff, count: number) => Array.from({ length: count }, () => Math.round(backoff.next()));

describe('back-off', () => {
  test('grows by half each time, to 30 s', () => {
    expect(waits(new Backoff(1000, even(0.5)), 11)).toEqual([1000, 1500, 2250, 3375, 5063, 7594, 11391, 17086, 25629, 30000, 30000]);
  });

  test('of a short interval grows to 30 intervals; of a long one not at all', () => {
    expect(waits(new Backoff(10, even(0.5)), 12).at(-1)).toBe(300);
    expect(waits(new Backoff(60_000, even(0.5)), 3)).toEqual([60_000, 60_000, 60_000]);
  });

  test('grows to a limit of its own, where there is one', () => {
    expect(waits(new Backoff(100, even(0.5), 300), 5)).toEqual([100, 150, 225, 300, 300]);
  });

  test('is shorter after a failure with a limit of its own, and grows on nevertheless', () => {
    const backoff = new Backoff(1000, even(0.5));
    expect(Array.from({ length: 7 }, () => backoff.next(6))).toEqual([1000, 1500, 2250, 3375, 5062.5, 6000, 6000]);
    expect(waits(backoff, 1)).toEqual([17086]);
  });

  test('varies by a fifth either way', () => {
    expect(waits(new Backoff(1000, even(0)), 2)).toEqual([800, 1200]);
    expect(waits(new Backoff(1000, even(0.999_999)), 2)).toEqual([1200, 1800]);
  });

  test('begins anew after a success', () => {
    const backoff = new Backoff(1000, even(0.5));
    waits(backoff, 5);
    backoff.reset();
    expect(waits(backoff, 2)).toEqual([1000, 1500]);
  });
});
