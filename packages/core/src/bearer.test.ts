import { expect, test } from 'vitest';
import { checkBearer } from './bearer.ts';

const TOKEN = '0123456789abcdef';

test.each([
  [`Bearer ${TOKEN}`, 'held'],
  [`bearer   ${TOKEN} `, 'held'],
  [undefined, 'missing'],
  ['', 'missing'],
  ['Bearer ', 'missing'],
  [TOKEN, 'missing'],
  [`Basic ${TOKEN}`, 'missing'],
  [`Bearer ${TOKEN} ${TOKEN}`, 'missing'],
  [`Bearer ${TOKEN}x`, 'other'],
  ['Bearer 0', 'other'],
  [`Bearer ${TOKEN.toUpperCase()}`, 'other'],
] as const)('Authorization %j: %s', (header, verdict) => {
  expect(checkBearer(header, TOKEN)).toBe(verdict);
});
