import { EvertreeError, type Operation, PointerReader, type Value } from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import type { DivergedCommit } from '../divergences/diverged-commit.ts';
import { RevisionSet } from '../divergences/revision-set.ts';
import { Replay, type ReplayRequest, type ReplayResult } from '../divergences/replay.ts';
import type { ReadBody } from './body.ts';
import type { HttpContext } from './context.ts';
import { divergedChangeSets, findDivergence } from './divergences.ts';
import type { Exchange } from './exchange.ts';
import { sendItems } from './json-list.ts';
import { type ExpectedError, isExpected } from './problem.ts';
import { readAdminBody } from './roles.ts';
import { readWish, settle } from './write.ts';

/** Revisions that are looked at between two pauses. */
const STEP_ITEMS = 256;
/** Operations that are read: to check one makes some KB of garbage. */
const OPERATIONS_A_STEP = 32;

const revisionSchema = z.int().min(1);
const exactSchema = z.strictObject({ epoch: z.int().min(0), epochId: z.string().regex(/^[0-9a-f]{16}$/), revision: z.int().min(0) });
/** Its items are checked one by one, in steps. */
const longList = z.custom<readonly unknown[]>(value => Array.isArray(value), 'must be a list');
const operationSchema = z.union([
  z.tuple([z.literal('put'), z.string(), z.custom<Value>(value => value !== undefined)]),
  z.tuple([z.literal('delete'), z.string()]),
]);
const commitSchema = z.object({
  position: z.object({ epoch: z.int().min(0), revision: revisionSchema }),
  epochId: z.string().regex(/^[0-9a-f]{16}$/),
  author: z.string().optional(),
  message: z.string().optional(),
  operations: longList,
});
const replaySchema = z.strictObject({
  divergence: z.string().min(1).max(200).exactOptional(),
  base: exactSchema.exactOptional(),
  changes: longList.exactOptional(),
  commits: longList.exactOptional(),
  force: z.boolean().exactOptional(),
  dryRun: z.boolean().exactOptional(),
});

/**
 * POST /admin/divergences/replay: applies commits of a divergence at this site, the primary. It keeps the divergence
 * itself (`divergence`), or another site does, and the request brings its commits (`base`, `changes`).
 */
export async function postReplay(exchange: Exchange): Promise<void> {
  await readAdminBody(exchange, '{"divergence": "1"}', body => replay(exchange, body));
}

async function replay(exchange: Exchange, { value, hints }: ReadBody): Promise<void> {
  const { context } = exchange;
  const { turns, store, admission } = context;
  const body = checked(replaySchema, value, 'the body');
  const { force = false, dryRun = false } = body;
  const wish = readWish(exchange);
  const { base, commits, name } = await whatToReplay(context, body);
  const chosen = await turns.run(readChosen(body.commits, commits));
  for (let wait = admission.wait(exchange); wait !== undefined; wait = admission.wait(exchange)) await wait;
  if (!dryRun) store.transact(() => undefined);
  const run = new Replay(store, { base, commits, chosen, force, dryRun, hints }, () => turns.breathe());
  let stopped: ExpectedError | undefined;
  try {
    await run.run();
  } catch (error) {
    if (!isExpected(error)) throw error;
    stopped = error;
  }
  if (dryRun) {
    if (stopped !== undefined) throw stopped;
    return sendResults(exchange, {}, run.results, {});
  }
  const settled = await settle(context, { position: store.position, commit: run.last }, wish);
  if (name !== undefined) await store.journal.divergences.markReplayed(name, standing(run.results));
  if (stopped === undefined) await sendResults(exchange, settled.body, run.results, settled.headers);
  else exchange.refuse(stopped, { results: run.results });
}

/** Answers with an object whose last member is the list of results, which is made in steps. */
async function sendResults(
  exchange: Exchange,
  head: object,
  results: readonly ReplayResult[],
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const members = JSON.stringify(head).slice(0, -1);
  const opening = `${members}${members === '{' ? '' : ','}"results":[`;
  const parts = { opening, separator: ',', closing: ']}\n', empty: ']}\n' };
  await sendItems(exchange, parts, resultTexts(results), { 'Content-Type': 'application/json', ...headers });
}

async function* resultTexts(results: readonly ReplayResult[]): AsyncGenerator<readonly [string]> {
  for (const result of results) yield [JSON.stringify(result)];
}

function standing(results: readonly ReplayResult[]): number[] {
  const stands = results.filter(({ outcome }) => outcome === 'applied' || outcome === 'equal' || outcome === 'replayed');
  return stands.map(({ position }) => position.revision);
}

async function whatToReplay(
  context: HttpContext,
  { divergence, base, changes }: z.infer<typeof replaySchema>,
): Promise<Pick<ReplayRequest, 'base' | 'commits'> & { readonly name?: string }> {
  if (divergence !== undefined) {
    const found = findDivergence(context, divergence);
    const commits: DivergedCommit[] = [];
    for await (const [{ epoch, epochId }, { revision, author, message, operations }] of divergedChangeSets(context, found)) {
      commits.push({ position: { epoch, epochId, revision }, author, message, operations });
    }
    return { base: found.base, commits, name: found.name };
  }
  if (base !== undefined && changes !== undefined) return { base, commits: await context.turns.run(readCommits(changes)) };
  throw new EvertreeError(
    'VALUE_INVALID',
    'the body names no "divergence" of this site, and brings no "base" and "changes" of another one',
  );
}

/** The commits that a body brings. @throws EvertreeError VALUE_INVALID, PATH_INVALID */
function* readCommits(changes: readonly unknown[]): Generator<void, DivergedCommit[]> {
  const pointers = new PointerReader();
  const commits: DivergedCommit[] = [];
  let left = OPERATIONS_A_STEP;
  for (const [index, change] of changes.entries()) {
    const { position, epochId, author, message, operations } = checked(commitSchema, change, 'the body', ['changes', index]);
    const read: Operation[] = [];
    for (const [at, operation] of operations.entries()) {
      read.push(readOperation(operation, ['changes', index, 'operations', at], pointers));
      if (--left > 0) continue;
      left = OPERATIONS_A_STEP;
      yield;
    }
    commits.push({ position: { ...position, epochId }, author, message, operations: read });
  }
  return commits;
}

function readOperation(operation: unknown, place: readonly (string | number)[], pointers: PointerReader): Operation {
  const [type, pointer, value] = checked(operationSchema, operation, 'the body', place);
  const path = pointers.read(pointer);
  return type === 'put' ? { type, path, value } : { type, path };
}

/**
 * The revisions that are to be applied: all, unless the body names some.
 * @throws EvertreeError VALUE_INVALID; NOT_FOUND for one that the divergence does not have
 */
function* readChosen(named: readonly unknown[] | undefined, commits: readonly DivergedCommit[]): Generator<void, RevisionSet> {
  const there = new RevisionSet();
  for (const [index, { position }] of commits.entries()) {
    there.add(position.revision);
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
  }
  if (named === undefined) return there;
  const chosen = new RevisionSet();
  for (const [index, each] of named.entries()) {
    const revision = checked(revisionSchema, each, 'the body', ['commits', index]);
    if (!there.has(revision)) throw new EvertreeError('NOT_FOUND', `the divergence has no commit with the revision ${revision}`);
    chosen.add(revision);
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
  }
  return chosen;
}
