import { expect, it } from 'vitest';
import { z } from 'zod';
import { checked } from './checked.ts';

const SCHEMA = z.strictObject({
  dryRun: z.boolean().exactOptional(),
  count: z.int().min(1).max(9).exactOptional(),
  names: z.array(z.string()).max(2).exactOptional(),
  id: z.string().regex(/^x+$/, 'must be some x').exactOptional(),
  kind: z.enum(['a', 'b']).exactOptional(),
  change: z.union([z.tuple([z.literal('put'), z.string()]), z.strictObject({ remove: z.string() })]).exactOptional(),
  needed: z.strictObject({ path: z.string() }),
});
const NEEDED = { path: '/a' };

it.each<[string, unknown, string]>([
  ['of another type', { needed: NEEDED, dryRun: 'yes' }, '"dryRun" is "yes"; write true or false'],
  ['that is no object', [1], 'it is [1]; write an object'],
  ['that is too large', { needed: NEEDED, count: 10 }, '"count" is 10; write at most 9'],
  ['that is too small', { needed: NEEDED, count: 0 }, '"count" is 0; write at least 1'],
  ['with a fraction', { needed: NEEDED, count: 1.5 }, '"count" is 1.5; write a whole number'],
  ['that is too long', { needed: NEEDED, names: ['a', 'b', 'c'] }, '"names" is ["a","b","c"]; write at most 2 entries'],
  ['deep inside', { needed: NEEDED, names: ['a', 5] }, '"names.1" is 5; write a text'],
  ['with words of its own', { needed: NEEDED, id: 'y' }, '"id" is "y"; write some x'],
  ['that is none of a few', { needed: NEEDED, kind: 'c' }, '"kind" is "c"; write "a" or "b"'],
  ['that is missing', {}, '"needed" is missing; write an object'],
  ['whose part is missing', { needed: {} }, '"needed.path" is missing; write a text'],
  ['with a misspelt key', { needed: NEEDED, dryrun: true }, '"dryrun" is not known; did you mean "dryRun"?'],
  ['with a misspelt key inside', { needed: { ...NEEDED, pathe: 1 } }, '"needed.pathe" is not known; did you mean "path"?'],
  ['with an unknown key inside', { needed: { ...NEEDED, colour: 1 } }, '"needed.colour" is not known; known here: "path"'],
  ['of an alternative', { needed: NEEDED, change: ['put', 5] }, '"change.1" is 5; write a text'],
])('a value %s is refused with its place, what it is and what to write', (_name, value, words) => {
  expect(() => checked(SCHEMA, value, 'the body')).toThrow(
    expect.objectContaining({ code: 'VALUE_INVALID', message: `the body is not as it has to be: ${words}` }),
  );
});

it('a long value is quoted in part', () => {
  expect(() => checked(z.boolean(), 'x'.repeat(1_000), 'the body')).toThrow(/it is "x{79}…; write true or false$/);
});

it('what is as it has to be is given back', () => {
  expect(checked(SCHEMA, { needed: NEEDED, count: 3 }, 'the body')).toEqual({ needed: NEEDED, count: 3 });
});
