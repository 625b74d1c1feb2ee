import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { printable } from '../wire/schemas.ts';
import { closeCode, closeReason, fitExplanation } from './close-codes.ts';

/** PROTOCOL.md, «Closing». */
test('close codes', () => {
  const codes = {
    'going-away': 4000,
    replaced: 4001,
    fenced: 4002,
    refused: 4003,
    'stream-mismatch': 4004,
    'history-mismatch': 4005,
    'wrong-role': 4006,
    unauthenticated: 4007,
    'protocol-violation': 4008,
    'protocol-unsupported': 4009,
    'too-large': 4010,
    quarantined: 4011,
    silent: 4012,
    lost: 4013,
  } as const;
  for (const [reason, code] of Object.entries(codes)) {
    expect(closeCode(reason as keyof typeof codes)).toBe(code);
    expect(closeReason(code)).toBe(reason);
  }
  const standard = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 3000, 4014, 4999].map(closeReason);
  expect(standard).toEqual([
    'lost',
    'going-away',
    'protocol-violation',
    'protocol-violation',
    'lost',
    'lost',
    'protocol-violation',
    'protocol-violation',
    'too-large',
    'lost',
    'lost',
    'lost',
    'lost',
  ]);
});

describe('explanations', () => {
  test('are cut to 123 bytes between two characters', () => {
    expect(fitExplanation('short').toString()).toBe('short');
    expect(fitExplanation('x'.repeat(123)).toString()).toBe('x'.repeat(123));
    expect(fitExplanation('x'.repeat(124)).toString()).toBe(`${'x'.repeat(120)}…`);
    expect(fitExplanation('🌲'.repeat(50)).toString()).toBe(`${'🌲'.repeat(30)}…`);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), text => {
        const cut = fitExplanation(text);
        expect(cut.length).toBeLessThanOrEqual(123);
        expect(text.startsWith(cut.toString().replace(/…$/, ''))).toBe(true);
      }),
    );
  });

  test('from the far end have no characters that move a cursor', () => {
    expect(printable('\u001b[31mred\r\n\u0007')).toBe('[31mred');
  });
});
