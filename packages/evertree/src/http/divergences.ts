import {
  decodeChangeSets,
  EvertreeError,
  formatPath,
  includesRevision,
  parsePath,
  type ChangeSet,
  type FrameHeader,
  type KeptDivergence,
  type Operation,
  type Value,
} from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import { type DivergedCommit, Replay, type ReplayResult } from '../divergences/replay.ts';
import type { HttpContext } from './context.ts';
import { type Exchange, unknownParameter } from './exchange.ts';
import { type ExpectedError, isExpected, RequestError } from './problem.ts';
import { adminBody } from './roles.ts';
import { decodeSegment } from './target.ts';
import { readWish, settle } from './write.ts';
import type { PlainOperation } from './watch-pattern.ts';

/** Commits of one page, unless the request says how many. */
const PAGE_COMMITS = 100;
const PAGE_LIMIT_COMMITS = 10_000;

/** A commit of a divergence, as HTTP shows and takes it. */
interface ShownCommit {
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly epochId: string;
  readonly time: number;
  readonly author?: string | undefined;
  readonly message?: string | undefined;
  readonly operations: readonly PlainOperation[];
  /** Whether it was applied again, as far as this site knows. */
  readonly replayed: boolean;
}

/** GET /divergences: those that this site keeps, the oldest first. GET /divergences/N, GET /divergences/N/export */
export async function getDivergences(exchange: Exchange): Promise<void> {
  const [wanted, resource, ...rest] = exchange.target.path.slice('/divergences'.length).split('/').slice(1).map(decodeSegment);
  if (wanted === undefined) {
    exchange.refuseParameters();
    const list = exchange.context.store.journal.divergences.list();
    exchange.answer(200, { divergences: list.map(shown) });
  } else if (resource === undefined) {
    await answerPage(exchange, find(exchange.context, wanted));
  } else if (resource === 'export' && rest.length === 0) {
    exchange.refuseParameters();
    await sendAll(exchange, find(exchange.context, wanted));
  } else {
    throw new RequestError('NOT_FOUND', 'there is /divergences, /divergences/N and /divergences/N/export');
  }
}

/**
 * The divergence of a number, which counts from 1 in the list, or of a name or the beginning of one.
 * @throws EvertreeError NOT_FOUND
 */
function find({ store }: HttpContext, wanted: string): KeptDivergence & { readonly number: number } {
  const list = store.journal.divergences.list().map((each, index) => ({ ...each, number: index + 1 }));
  const isNumber = /^\d+$/.test(wanted);
  const meant = list.filter(({ name, number }) => (isNumber ? String(number) === wanted : name.startsWith(wanted)));
  const [found, ...others] = meant;
  if (found !== undefined && others.length === 0) return found;
  const there = list.length === 0 ? `${store.site} keeps none` : `GET /divergences lists the ${list.length} that ${store.site} keeps`;
  throw new EvertreeError(
    'NOT_FOUND',
    `${found === undefined ? 'no divergence' : 'more than one divergence'} is called ${JSON.stringify(wanted.slice(0, 100))}; ${there}`,
  );
}

function shown(divergence: KeptDivergence, index: number): object {
  const { firstTime = null, lastTime = null, missing = null, ...rest } = divergence;
  return { number: index + 1, ...rest, firstTime, lastTime, missing };
}

async function* commitsOf(context: HttpContext, { name, base, replayed }: KeptDivergence): AsyncGenerator<ShownCommit> {
  for await (const { frame } of context.store.journal.divergences.read(name)) {
    for (const changeSet of decodeChangeSets(frame)) {
      const { revision, operations } = changeSet;
      // What begins or ends an epoch changes nothing.
      if (revision <= base.revision || operations.length === 0) continue;
      yield shownCommit(frame.header, changeSet, includesRevision(replayed, revision));
    }
    await context.turns.breathe();
  }
}

function shownCommit(
  { epoch, epochId }: FrameHeader,
  { revision, time, author, message, operations }: ChangeSet,
  replayed: boolean,
): ShownCommit {
  return { position: { epoch, revision }, epochId, time, author, message, operations: operations.map(plainOperation), replayed };
}

function plainOperation(operation: Operation): PlainOperation {
  const path = formatPath(operation.path);
  return operation.type === 'put' ? ['put', path, operation.value] : ['delete', path];
}

async function answerPage(exchange: Exchange, divergence: KeptDivergence & { readonly number: number }): Promise<void> {
  const { after, limit } = pageOf(exchange);
  const changes: ShownCommit[] = [];
  let next: number | null = null;
  for await (const commit of commitsOf(exchange.context, divergence)) {
    if (commit.position.revision <= after) continue;
    if (changes.length === limit) {
      next = changes.at(-1)!.position.revision;
      break;
    }
    changes.push(commit);
  }
  exchange.answer(200, { ...shown(divergence, divergence.number - 1), changes, next });
}

function pageOf({ target }: Exchange): { readonly after: number; readonly limit: number } {
  const page = { after: 0, limit: PAGE_COMMITS };
  for (const [name, value] of target.parameters) {
    if (name !== 'after' && name !== 'limit') throw unknownParameter(name);
    if (!/^\d{1,15}$/.test(value))
      throw new RequestError('REQUEST_INVALID', `${name} is ${JSON.stringify(value.slice(0, 40))}; write a whole number`);
    page[name] = Number(value);
  }
  return { after: page.after, limit: Math.min(Math.max(1, page.limit), PAGE_LIMIT_COMMITS) };
}

/** One commit a line. */
async function sendAll(exchange: Exchange, divergence: KeptDivergence): Promise<void> {
  const { response } = exchange;
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
  for await (const commit of commitsOf(exchange.context, divergence)) await exchange.write(`${JSON.stringify(commit)}\n`);
  response.end();
}

const revisionSchema = z.int().min(1);
const nameSchema = z.string().min(1).max(200);
const exactSchema = z.strictObject({ epoch: z.int().min(0), epochId: z.string().regex(/^[0-9a-f]{16}$/), revision: z.int().min(0) });
const operationSchema = z.union([
  z.tuple([z.literal('put'), z.string(), z.custom<Value>(value => value !== undefined)]),
  z.tuple([z.literal('delete'), z.string()]),
]);
const commitSchema = z.object({
  position: z.object({ epoch: z.int().min(0), revision: revisionSchema }),
  epochId: z.string().regex(/^[0-9a-f]{16}$/),
  author: z.string().optional(),
  message: z.string().optional(),
  operations: z.array(operationSchema),
});
const replaySchema = z.strictObject({
  divergence: nameSchema.exactOptional(),
  base: exactSchema.exactOptional(),
  changes: z.array(commitSchema).exactOptional(),
  commits: z.array(revisionSchema).exactOptional(),
  force: z.boolean().exactOptional(),
  dryRun: z.boolean().exactOptional(),
});

/**
 * POST /admin/divergences/replay: applies commits of a divergence at this site, the primary. It keeps the divergence
 * itself (`divergence`), or another site does, and the request brings its commits (`base`, `changes`).
 */
export async function postReplay(exchange: Exchange): Promise<void> {
  const body = checked(replaySchema, await adminBody(exchange, '{"divergence": "1"}'), 'the body');
  const { context } = exchange;
  const { force = false, dryRun = false } = body;
  const wish = readWish(exchange);
  const { base, commits, name } = await whatToReplay(context, body);
  const chosen = new Set(body.commits ?? commits.map(({ position }) => position.revision));
  checkChosen(chosen, commits);
  for (let wait = context.admission.wait(exchange); wait !== undefined; wait = context.admission.wait(exchange)) await wait;
  if (!dryRun) context.store.transact(() => undefined);
  const run = new Replay(context.store, { base, commits, chosen, force, dryRun }, () => context.turns.join());
  let stopped: ExpectedError | undefined;
  try {
    await run.run();
  } catch (error) {
    if (!isExpected(error)) throw error;
    stopped = error;
  }
  if (dryRun) {
    if (stopped !== undefined) throw stopped;
    exchange.answer(200, { results: run.results });
    return;
  }
  const settled = await settle(context, { position: context.store.position, commit: run.last }, wish);
  if (name !== undefined) await context.store.journal.divergences.markReplayed(name, standing(run.results));
  if (stopped === undefined) exchange.answer(200, { ...settled.body, results: run.results }, settled.headers);
  else exchange.refuse(stopped, { results: run.results });
}

function standing(results: readonly ReplayResult[]): number[] {
  const stands = results.filter(({ outcome }) => outcome === 'applied' || outcome === 'equal' || outcome === 'replayed');
  return stands.map(({ position }) => position.revision);
}

async function whatToReplay(
  context: HttpContext,
  { divergence, base, changes }: z.infer<typeof replaySchema>,
): Promise<{ readonly base: DivergedCommit['position']; readonly commits: readonly DivergedCommit[]; readonly name?: string }> {
  if (divergence !== undefined) {
    const found = find(context, divergence);
    const commits: DivergedCommit[] = [];
    for await (const commit of commitsOf(context, found)) commits.push(divergedCommit(commit));
    return { base: found.base, commits, name: found.name };
  }
  if (base !== undefined && changes !== undefined) return { base, commits: changes.map(divergedCommit) };
  throw new EvertreeError(
    'VALUE_INVALID',
    'the body names no "divergence" of this site, and brings no "base" and "changes" of another one',
  );
}

function divergedCommit({ position, epochId, author, message, operations }: z.infer<typeof commitSchema> | ShownCommit): DivergedCommit {
  return {
    position: { ...position, epochId },
    author,
    message,
    operations: operations.map(([type, path, value]): Operation =>
      type === 'put' ? { type, path: parsePath(path), value } : { type, path: parsePath(path) },
    ),
  };
}

function checkChosen(chosen: ReadonlySet<number>, commits: readonly DivergedCommit[]): void {
  const there = new Set(commits.map(({ position }) => position.revision));
  const unknown = [...chosen].find(revision => !there.has(revision));
  if (unknown !== undefined) throw new EvertreeError('NOT_FOUND', `the divergence has no commit with the revision ${unknown}`);
}

const forgetSchema = z.strictObject({ divergence: nameSchema });

/** POST /admin/divergences/forget {"divergence": N}: drops one for good. */
export async function postForgetDivergence(exchange: Exchange): Promise<void> {
  const { divergence } = checked(forgetSchema, await adminBody(exchange, '{"divergence": "1"}'), 'the body');
  const { name, commits } = find(exchange.context, divergence);
  await exchange.context.store.journal.divergences.forget(name);
  exchange.answer(200, { name, commits, forgotten: true });
}

const markSchema = z.strictObject({ divergence: nameSchema, revisions: z.array(revisionSchema) });

/** POST /admin/divergences/mark {"divergence": N, "revisions": […]}: records that they were applied at the primary. */
export async function postReplayed(exchange: Exchange): Promise<void> {
  const { divergence, revisions } = checked(markSchema, await adminBody(exchange, '{"divergence": "1", "revisions": [1206]}'), 'the body');
  const { name } = find(exchange.context, divergence);
  await exchange.context.store.journal.divergences.markReplayed(name, revisions);
  exchange.answer(200, { name, marked: revisions.length });
}
