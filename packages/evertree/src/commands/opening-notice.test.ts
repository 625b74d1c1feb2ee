import type { Report } from '@evertree/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { tellWhileOpening } from './opening-notice.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a site that opens for long says so every 5 s, until it is open', () => {
  const reports: Report[] = [];
  {
    using _ = tellWhileOpening('data/a', report => reports.push(report));
    vi.advanceTimersByTime(4_999);
    expect(reports).toEqual([]);
    vi.advanceTimersByTime(5_001);
    expect(reports.map(({ event, details }) => [event, details])).toEqual([
      ['opening', { data: 'data/a', elapsedMs: 5_000 }],
      ['opening', { data: 'data/a', elapsedMs: 10_000 }],
    ]);
    expect(reports[1]?.message).toMatch(/^opens data\/a, for 10 s so far: .* HTTP answers when that is done$/);
  }
  vi.advanceTimersByTime(60_000);
  expect(reports).toHaveLength(2);
});
