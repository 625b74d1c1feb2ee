import { expect, test } from 'vitest';
import { bearerTokens, BearerTokens, lacksRight, RIGHTS } from './bearer.ts';

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
] as const)('Authorization %j: %s', (header, expected) => {
  const verdict = new BearerTokens({ token: TOKEN }).judge(header);
  expect(typeof verdict === 'string' ? verdict : 'held').toBe(expected);
  if (typeof verdict === 'object') expect(verdict).toEqual({ name: undefined, rights: RIGHTS });
});

test('each of several tokens is told by its own name, with its own rights, beside the one that has all', () => {
  const ann = { name: 'ann', secret: 'secret-of-ann', rights: ['read', 'write'] } as const;
  const bob = { name: 'bob', secret: 'secret-of-bob', rights: ['replicate'] } as const;
  const tokens = new BearerTokens({ token: TOKEN, tokens: [ann, bob] });
  expect(tokens.judge('Bearer secret-of-ann')).toEqual({ name: 'ann', rights: ['read', 'write'] });
  expect(tokens.judge('Bearer secret-of-bob')).toEqual({ name: 'bob', rights: ['replicate'] });
  expect(tokens.judge(`Bearer ${TOKEN}`)).toEqual({ name: undefined, rights: RIGHTS });
  expect(tokens.judge('Bearer secret-of-eve')).toBe('other');
});

test('a site without a token asks for none, and one with an empty list lets nobody in', () => {
  expect(bearerTokens({})).toBeUndefined();
  expect(bearerTokens({ tokens: [] })?.judge(`Bearer ${TOKEN}`)).toBe('other');
});

test('a right that is lacking is named with the token and what it has', () => {
  expect(lacksRight({ name: 'ann', rights: ['read', 'write'] }, 'replicate')).toBe(
    'the token "ann" lacks the right "replicate"; in "auth.tokens" it has "read", "write"',
  );
});
