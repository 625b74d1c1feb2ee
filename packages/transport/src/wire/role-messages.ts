import type { RoleMessage } from '@evertree/core';
import { z } from 'zod';
import { epochNameSchema, epochsSchema, hex, positionSchema, siteNameSchema, urlSchema } from './schemas.ts';

/*
 * What two sites tell each other about who leads; PROTOCOL.md, «Roles». Both wires carry the same JSON.
 */

/** A role message that is longer is a violation. */
export const ROLE_LIMIT_BYTES = 1024 * 1024;

const command = z.string().min(1).max(64);
const text = z.string().max(4096);
const obstacle = z.object({ code: z.string().max(64), text }).readonly();
const outcome = z.enum(['done', 'abandoned', 'unknown']);
const milliseconds = z.number().min(0);
const names = z.array(text).max(1024).readonly();
const facts = z.object({ program: text, frameVersion: z.int().min(1), reaches: names, unreached: names, logs: names }).readonly();

const message = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('prepare'), command, from: siteNameSchema, to: siteNameSchema, dryRun: z.boolean() }),
  z.object({
    kind: z.literal('consent'),
    command,
    obstacles: z.array(obstacle).readonly(),
    syncMs: milliseconds,
    facts: facts.exactOptional(),
  }),
  z.object({
    kind: z.literal('begun'),
    command,
    epoch: epochNameSchema,
    position: positionSchema,
    epochs: epochsSchema,
    advertised: urlSchema.exactOptional(),
  }),
  z.object({ kind: z.literal('withdraw'), command }),
  z.object({ kind: z.literal('declined'), command }),
  z.object({ kind: z.literal('ask'), command }),
  z.object({ kind: z.literal('told'), command, outcome, text, time: milliseconds.exactOptional() }),
  z.object({
    kind: z.literal('request'),
    command,
    to: siteNameSchema,
    dryRun: z.boolean(),
    cancel: z.boolean(),
    maxPauseMs: milliseconds.exactOptional(),
  }),
  z.object({
    kind: z.literal('answered'),
    command,
    outcome,
    text,
    obstacles: z.array(obstacle).readonly(),
    warnings: z.array(obstacle).readonly().exactOptional(),
    position: positionSchema,
    pauseMs: milliseconds.nullable(),
  }),
  z.object({ kind: z.literal('raise'), epoch: epochNameSchema, epochs: epochsSchema }),
  z.object({
    kind: z.literal('promised'),
    epoch: epochNameSchema,
    position: positionSchema,
    digest: hex(16),
    epochs: epochsSchema,
    known: z.array(positionSchema).readonly(),
  }),
  z.object({ kind: z.literal('not-promised'), epoch: epochNameSchema, text, highest: epochNameSchema.exactOptional() }),
  z.object({ kind: z.literal('lend'), after: positionSchema }),
  z.object({ kind: z.literal('not-lent'), text }),
]) satisfies z.ZodType<RoleMessage>;

export const roleSchema = z.object({ from: siteNameSchema, to: siteNameSchema, message });
