import { EvertreeError, isMarkName, REASON_CODES } from '@evertree/core';
import { z } from 'zod';

export const SITE_LIMIT_BYTES = 255;
/** Characters of an address that a site advertises. */
const URL_LIMIT = 2048;
export const HEARTBEAT_LEAST_MS = 20;
export const HEARTBEAT_MOST_MS = 3_600_000;

export const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `must be ${digits} hex digits`);
const label = z
  .string()
  .refine(text => Buffer.byteLength(text) <= SITE_LIMIT_BYTES, `must have at most ${SITE_LIMIT_BYTES} bytes`)
  .refine(text => !/\p{Cc}/u.test(text), 'must have no control characters');
export const siteNameSchema = label.min(1);
const uint32 = z.int().min(0).max(0xffff_ffff);
const uint53 = z.int().min(0);
export const positionSchema = z.object({ epoch: uint32, epochId: hex(16), revision: uint53 }).readonly();
const handover = z.object({ to: siteNameSchema, command: z.string() }).readonly();
const entry = { number: uint32, id: hex(16), site: siteNameSchema, base: positionSchema, reason: z.string(), time: uint53 };
const epoch = z.object({ ...entry, end: handover.exactOptional() }).readonly();
export const epochsSchema = z.array(epoch).readonly();
export const epochNameSchema = z.object({ number: uint32, id: hex(16) }).readonly();
export const urlSchema = z.string().max(URL_LIMIT);

/**
 * Unknown keys are dropped: a later version may add some. Version 2 had neither `standing` nor what follows it; such a
 * hello has to be read, so that it can be refused by its version.
 */
export const helloSchema = z
  .object({
    protocols: z.array(uint32).min(1).readonly(),
    program: label,
    site: siteNameSchema,
    role: z.enum(['primary', 'secondary']),
    stream: hex(32).nullable(),
    position: positionSchema,
    digest: hex(16),
    epochs: epochsSchema,
    durable: z.boolean(),
    standing: z.enum(['primary', 'secondary', 'fenced', 'handing-over']).optional(),
    fencedBy: z
      .object({ number: uint32, id: hex(16), begun: z.boolean() })
      .readonly()
      .exactOptional(),
    standby: z.boolean().default(false),
    advertised: urlSchema.exactOptional(),
    catchesUp: z.boolean().exactOptional(),
    raises: epochNameSchema.exactOptional(),
    heartbeatMs: z.int().min(HEARTBEAT_LEAST_MS).max(HEARTBEAT_MOST_MS),
  })
  .transform(hello => ({ ...hello, standing: hello.standing ?? hello.role }));

const mark = z
  .object({
    name: z.string().refine(isMarkName, 'must be the name of a mark'),
    position: positionSchema,
    markedAt: positionSchema,
    time: uint53,
    author: z.string().exactOptional(),
    message: z.string().exactOptional(),
  })
  .readonly();
const header = { stream: hex(32), position: positionSchema, digest: hex(16), chain: hex(64), epochs: epochsSchema };
const snapshotHeaderSchema = z.object({ ...header, marks: z.array(mark).readonly(), time: uint53 }).readonly();
/** Of an announced snapshot: its marks are told where it begins. */
export const announcedHeaderSchema = z.object({ ...header, time: uint53 }).readonly();

/** A code that is not known here is one of a later version. */
export const reasonSchema = z.object({ code: z.enum(REASON_CODES).catch('other'), text: z.string() }).readonly();

export const historyBeginsSchema = z.object({ base: positionSchema, epochs: epochsSchema, last: positionSchema, reason: reasonSchema });

export const snapshotBeginSchema = z.object({ header: snapshotHeaderSchema, reason: reasonSchema });

/** @throws EvertreeError PROTOCOL_VIOLATION */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new EvertreeError('PROTOCOL_VIOLATION', 'text that is not UTF-8', {}, cause);
  }
}

/**
 * By default zod compiles a schema when it is first used. A link uses most of them once, and for a new process to compile
 * those of a handshake takes 4 to 15 ms; a message takes the same time then, and 2 to 4 µs later, either way.
 */
const INTERPRETED = { jitless: true };

/**
 * Reads and checks JSON from the far end.
 * @throws EvertreeError PROTOCOL_VIOLATION that names the first thing wrong, never the value
 */
export function parseJson<T>(schema: z.ZodType<T>, bytes: Uint8Array, name: string): T {
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(bytes));
  } catch (cause) {
    throw new EvertreeError('PROTOCOL_VIOLATION', `a ${name} that is not JSON in UTF-8`, {}, cause);
  }
  const result = schema.safeParse(value, INTERPRETED);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = printable((issue?.path ?? []).join('.').slice(0, 60));
  throw new EvertreeError('PROTOCOL_VIOLATION', `a ${name} whose ${where || 'content'} is wrong: ${issue?.message ?? 'invalid'}`);
}

/** Text from the far end, fit for a terminal and a log. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trim();
}
