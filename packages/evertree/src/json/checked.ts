import { EvertreeError } from '@evertree/core';
import type { z } from 'zod';
import { keysAt, remedyFor } from './schema-keys.ts';

type Issue = z.core.$ZodIssue;
type ValuePlace = readonly (string | number)[];

/** The most of a value that an error quotes, and of a place that it names. */
const QUOTED_CHARACTERS = 80;
const PLACE_CHARACTERS = 200;

/**
 * @param above where the value stands in what is named
 * @throws EvertreeError VALUE_INVALID with the place, the value that stands there, and what to write instead
 */
export function checked<T>(schema: z.ZodType<T>, value: unknown, what: string, above: ValuePlace = []): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { place, words } = tell(schema, value, result.error.issues[0]!, { above, within: [] });
  throw new EvertreeError('VALUE_INVALID', `${what} is not as it has to be: ${words}`, place.length === 0 ? {} : { place });
}

/** @param within the place in the value to which the issue's own path is added; `above` comes before it in words */
function tell(
  schema: z.ZodType,
  value: unknown,
  issue: Issue,
  { above, within }: { readonly above: ValuePlace; readonly within: ValuePlace },
): { readonly place: string; readonly words: string } {
  const at = [...within, ...(issue.path as ValuePlace)];
  if (issue.code === 'invalid_union') {
    const [meant] =
      issue.errors.find(([first]) => first !== undefined && (first.path.length > 0 || first.code === 'unrecognized_keys')) ?? [];
    if (meant !== undefined) return tell(schema, value, meant, { above, within: at });
  }
  const place = [...above, ...at].join('.').slice(0, PLACE_CHARACTERS);
  if (issue.code === 'unrecognized_keys') return { place, words: unknownKey(schema, at, [...above, ...at, issue.keys[0] ?? '']) };
  const found = valueAt(value, at);
  const name = place === '' ? 'it' : `"${place}"`;
  const expected = expectedBy(issue);
  return { place, words: found === undefined ? `${name} is missing; write ${expected}` : `${name} is ${quote(found)}; write ${expected}` };
}

/** @param place of the key, with what is above the value */
function unknownKey(schema: z.ZodType, at: ValuePlace, place: ValuePlace): string {
  const known = keysAt(schema, at);
  const remedy = remedyFor(String(place.at(-1)), known);
  return `"${place.join('.').slice(0, PLACE_CHARACTERS)}" is not known; ${remedy}`;
}

function valueAt(value: unknown, at: ValuePlace): unknown {
  let found = value;
  for (const key of at) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string | number, unknown>)[key];
  }
  return found;
}

function quote(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
};

/** What counts towards a bound. */
const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };

/** What a value has to be, in words. A schema's own message says it after «must be». */
function expectedBy(issue: Issue): string {
  if (issue.message.startsWith('must be ')) return issue.message.slice('must be '.length);
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'too_small':
      return `at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`;
    case 'too_big':
      return `at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`;
    case 'invalid_format':
      return `a text that matches ${issue.pattern ?? issue.format}`;
    case 'invalid_value':
      return issue.values.map(each => quote(each)).join(' or ');
    default:
      return 'what HTTP.md says';
  }
}
