import { EvertreeError } from '@evertree/core';
import { z } from 'zod';

/** The most of a value that an error quotes. */
const QUOTED_CHARACTERS = 80;

/** Parts of the schemas of what an archive holds as JSON. */
export const hex = (digits: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `must be ${digits} hex digits`);
export const count = (): z.ZodInt => z.int().nonnegative();
export const sha256 = (): z.ZodString => hex(64);
export const time = (): z.ZodInt => count();
export const position = () => z.strictObject({ epoch: count().max(0xffff_ffff), epochId: hex(16), revision: count() });
/** The key of an object: ARCHIVE.md, «Objects». */
export const objectKey = (): z.ZodString => z.string().regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, 'must be the key of an object');

/**
 * Reads JSON that has a format, and checks all of it.
 * @param name the object, for errors
 * @throws EvertreeError DAMAGED with object, key and value
 */
export function parseChecked<T>(schema: z.ZodType<T>, text: string, name: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damagedObject(name, 'it is not JSON', {}, error);
  }
  return checkValue(schema, value, name);
}

/**
 * Checks a value that was read as JSON.
 * @throws EvertreeError DAMAGED with object, key and value
 */
export function checkValue<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const at = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])] as (string | number)[];
  const key = at.join('.');
  const found = valueAt(value, at);
  const place = key === '' ? 'it' : `"${key}"`;
  const shown = found === undefined ? 'missing' : quote(found);
  const details = shown === undefined ? { key } : { key, value: found };
  throw damagedObject(name, `${place} is ${shown ?? 'nested too deeply'}: ${expectation(issue)}`, details);
}

/**
 * Whether a text says in its first key that it has a format; a later version of it is told apart from damage.
 * @throws EvertreeError FORMAT_UNSUPPORTED
 */
export function assertVersion(text: string, format: string, version: number, name: string): void {
  const match = new RegExp(`^\\{"format":\\s*"${format} (\\d{1,9})"`).exec(text);
  if (match === null || Number(match[1]) <= version) return;
  const message = `${name} has the version ${match[1]} of its format; this program reads version ${version}: use a newer one`;
  throw new EvertreeError('FORMAT_UNSUPPORTED', message, { object: name, version: Number(match[1]) });
}

/** Something of an archive is not what was written. */
export function damagedObject(name: string, problem: string, details: Record<string, unknown> = {}, cause?: unknown): EvertreeError {
  return new EvertreeError('DAMAGED', `${name} is damaged: ${problem}`, { object: name, problem, ...details }, cause);
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return 'this key is not known';
  return issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
}

function valueAt(value: unknown, at: readonly (string | number)[]): unknown {
  let found = value;
  for (const key of at) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string | number, unknown>)[key];
  }
  return found;
}

/** @returns undefined for what can't be written as JSON again, because it is nested too deeply */
function quote(value: unknown): string | undefined {
  let text: string;
  try {
    text = JSON.stringify(value);
  } catch {
    return undefined;
  }
  return text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text;
}
