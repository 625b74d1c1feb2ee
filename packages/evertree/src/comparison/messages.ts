import { type ChildKind, type DigestAnswer, isKeyGroup, isMarkName, type Value } from '@evertree/core';
import { z } from 'zod';

/** What `/digests` and `/admin/repair` take and answer; HTTP.md, «Digests», tells of each. Unknown keys are dropped. */
const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `must be ${digits} hex digits`);
const count = z.int().min(0);
const positionSchema = z.object({ epoch: count.max(0xffff_ffff), epochId: hex(16), revision: count }).readonly();
const endSchema = z.object({ to: z.string(), command: z.string() }).readonly();
const epochSchema = z
  .object({
    number: count,
    id: hex(16),
    site: z.string().min(1),
    base: positionSchema,
    reason: z.string(),
    time: count,
    end: endSchema.exactOptional(),
  })
  .readonly();
const epochsSchema = z.array(epochSchema).readonly();
const groupSchema = z.string().refine(isKeyGroup, 'must be at most 6 digits from 0 to v');
const pointerSchema = z.string();
/** What JSON.parse gave is a value. */
const valueSchema = z.custom<Value>(value => value !== undefined, 'must be there');

const markSchema = z
  .object({
    name: z.string().refine(isMarkName, 'must be the name of a mark'),
    position: positionSchema,
    markedAt: positionSchema,
    time: count,
    author: z.string().exactOptional(),
    message: z.string().exactOptional(),
  })
  .readonly();

const headerSchema = z
  .object({
    stream: hex(32),
    position: positionSchema,
    digest: hex(16),
    chain: hex(64),
    epochs: epochsSchema,
    marks: z.array(markSchema).readonly(),
    time: count,
  })
  .readonly();

/** The longest wait for a revision. */
export const WAIT_LIMIT_MS = 60_000;
/** Queries of one request. */
export const QUERIES_LIMIT = 256;
/** Values that are asked for at once. */
export const PATHS_LIMIT = 4_096;

export const pinRequestSchema = z.strictObject({ revision: count.optional(), waitMs: count.max(WAIT_LIMIT_MS).optional() });

export const pinnedSchema = z.object({ pin: z.string().regex(/^[0-9a-f]{16}$/), header: headerSchema });

export const queriesSchema = z.strictObject({
  queries: z
    .array(z.strictObject({ path: pointerSchema, group: groupSchema.default(''), after: z.string().exactOptional() }))
    .min(1)
    .max(QUERIES_LIMIT),
});

const kindSchema = z.enum(['object', 'value'] satisfies ChildKind[]);
const answerSchema = z.union([
  z.object({ children: z.array(z.tuple([z.string(), kindSchema, hex(16)])), next: z.string().exactOptional() }),
  z.object({ groups: z.array(z.tuple([groupSchema, count, hex(16)])) }),
]);
export const answersSchema = z.object({ answers: z.array(answerSchema) });

export const pathsSchema = z.strictObject({ paths: z.array(pointerSchema).min(1).max(PATHS_LIMIT) });

/** A check is asked with `{}`. */
export const checkRequestSchema = z.strictObject({});

export const checkedSchema = z.object({ objects: count, damaged: z.array(pointerSchema).readonly() }).readonly();

export const repairSchema = z.strictObject({
  header: headerSchema,
  base: z.object({ position: positionSchema, digest: hex(16) }).readonly(),
  changes: z.array(z.union([z.tuple([z.literal('put'), pointerSchema, valueSchema]), z.tuple([z.literal('delete'), pointerSchema])])),
});

export const repairedSchema = z.object({ position: positionSchema, digest: hex(16), changes: count });

type WrittenAnswer = z.infer<typeof answerSchema>;

/** Lists of short tuples: names would take more room than the digests. */
export function writeAnswer(answer: DigestAnswer): WrittenAnswer {
  if ('groups' in answer) return { groups: answer.groups.map(({ group, count: children, digest }) => [group, children, digest]) };
  const children = answer.children.map(({ key, kind, digest }): [string, ChildKind, string] => [key, kind, digest]);
  return answer.next === undefined ? { children } : { children, next: answer.next };
}

export function readAnswer(written: WrittenAnswer): DigestAnswer {
  if ('groups' in written) return { groups: written.groups.map(([group, children, digest]) => ({ group, count: children, digest })) };
  const children = written.children.map(([key, kind, digest]) => ({ key, kind, digest }));
  return written.next === undefined ? { children } : { children, next: written.next };
}
