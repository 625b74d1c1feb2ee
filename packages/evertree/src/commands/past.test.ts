import { describe, expect, it } from 'vitest';
import { findingLines } from './past.ts';

describe('a finding', () => {
  it('shows what stood at its own path, also if the commit set other paths and something above it', () => {
    const change = {
      position: { epoch: 1, revision: 7 },
      time: 0,
      operations: [
        { path: '/devices/r1/mtu', kind: 'put', before: 9000, after: 1500 },
        { path: '/devices/r2', kind: 'put', before: 1, after: { 'a/b': { mtu: [1, 2500] } } },
      ],
    } as const;
    const line = (path: string) => findingLines({ path, before: { epoch: 1, revision: 6 }, change })[1];
    expect(line('/devices/r2/a~1b/mtu/1')).toBe('  put    /devices/r2/a~1b/mtu/1  none → 2500');
    expect(line('/devices/r1/mtu')).toBe('  put    /devices/r1/mtu  9000 → 1500');
    expect(line('/devices')).toBe('  /devices');
  });
});
