import { describe, expect, it } from 'vitest';
import { parseWhen } from './when.ts';

const NOW = Date.UTC(2026, 10, 27, 12);

describe('parseWhen', () => {
  it('reads positions, times, times ago and names of marks', () => {
    expect(parseWhen('4-1201', NOW)).toEqual({ epoch: 4, revision: 1201 });
    expect(parseWhen('2026-11-27T10:00:00Z', NOW)).toEqual({ time: NOW - 7_200_000 });
    expect(parseWhen('2026-11-27 11:00:00.25+01:00', NOW)).toEqual({ time: NOW - 7_200_000 + 250 });
    expect(parseWhen('0001-01-01T00:00:00Z', NOW)).toEqual({ time: Date.parse('0001-01-01T00:00:00Z') });
    expect(parseWhen('-10m', NOW)).toEqual({ time: NOW - 600_000 });
    expect(parseWhen('1.5h ago', NOW)).toEqual({ time: NOW - 5_400_000 });
    expect(parseWhen('before-upgrade', NOW)).toEqual({ mark: 'before-upgrade' });
    expect(parseWhen('überall 😀', NOW)).toEqual({ mark: 'überall 😀' });
  });

  it.each([
    '',
    '4-',
    '-10',
    '10m',
    '-10 months',
    '2026-11-27',
    '2026-11-27T10:00:00',
    '2026-02-31T10:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-27T24:00:00Z',
    '2026-11-27T10:00:00+24:00',
    '1st',
    `a${'x'.repeat(255)}`,
    'a\ud800',
  ])('refuses %j and says what can be written', text => {
    expect(() => parseWhen(text, NOW)).toThrow(
      expect.objectContaining({ code: 'VALUE_INVALID', message: expect.stringContaining('4-1201') }),
    );
  });
});
