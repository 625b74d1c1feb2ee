import {
  covers,
  EvertreeError,
  formatPath,
  includesRevision,
  readChangeSets,
  type ChangeSet,
  type FrameHeader,
  type KeptDivergence,
  type Operation,
  type Store,
} from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import { ALL_PATHS } from '../divergences/diverged-commit.ts';
import { stateOf } from '../divergences/divergence-state.ts';
import type { HttpContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { RequestError } from './problem.ts';
import { refuseOtherParameters } from './target.ts';
import { adminBody } from './roles.ts';
import { decodeSegment } from './target.ts';
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
  /** Whether it is in this site's history itself: a site that had it was promoted. */
  readonly standing: boolean;
}

/** GET /divergences: those that this site keeps, the oldest first. GET /divergences/N, GET /divergences/N/export */
export async function getDivergences(exchange: Exchange): Promise<void> {
  const [wanted, resource, ...rest] = exchange.target.path.slice('/divergences'.length).split('/').slice(1).map(decodeSegment);
  if (wanted === undefined) {
    exchange.refuseParameters();
    const { store } = exchange.context;
    exchange.answer(200, { divergences: store.journal.divergences.list().map((each, index) => shown(store, each, index + 1)) });
  } else if (resource === undefined) {
    await answerPage(exchange, findDivergence(exchange.context, wanted));
  } else if (resource === 'export' && rest.length === 0) {
    exchange.refuseParameters();
    await sendAll(exchange, findDivergence(exchange.context, wanted));
  } else {
    throw new RequestError('NOT_FOUND', 'there is /divergences, /divergences/N and /divergences/N/export');
  }
}

/**
 * The divergence of a number, which counts from 1 in the list, or of a name or the beginning of one.
 * @throws EvertreeError NOT_FOUND
 */
export function findDivergence({ store }: HttpContext, wanted: string): KeptDivergence & { readonly number: number } {
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

function shown(store: Store, divergence: KeptDivergence, number: number): object {
  const { firstTime = null, lastTime = null, missing = null, ...rest } = divergence;
  return { number, ...rest, state: stateOf(store, divergence), firstTime, lastTime, missing };
}

async function* commitsOf(context: HttpContext, divergence: KeptDivergence): AsyncGenerator<ShownCommit> {
  const { epochs, stable } = context.store;
  const history = { epochs, last: stable.position };
  for await (const [header, changeSet] of divergedChangeSets(context, divergence)) {
    const { epoch, epochId } = header;
    const { revision } = changeSet;
    const replayed = includesRevision(divergence.replayed, revision);
    yield shownCommit(header, changeSet, replayed, covers(history, { epoch, epochId, revision }));
  }
}

/** The change sets of a divergence, decoded in steps. */
export async function* divergedChangeSets(
  { store, turns }: HttpContext,
  { name, base }: KeptDivergence,
): AsyncGenerator<readonly [FrameHeader, ChangeSet]> {
  for await (const { frame } of store.journal.divergences.read(name)) {
    for (const changeSet of readChangeSets(frame, ALL_PATHS)) {
      if (changeSet === undefined) await turns.breathe();
      // What begins or ends an epoch changes nothing.
      else if (changeSet.revision > base.revision && changeSet.operations.length > 0) yield [frame.header, changeSet];
    }
    await turns.breathe();
  }
}

function shownCommit(
  { epoch, epochId }: FrameHeader,
  { revision, time, author, message, operations }: ChangeSet,
  replayed: boolean,
  standing: boolean,
): ShownCommit {
  return { position: { epoch, revision }, epochId, time, author, message, operations: operations.map(plainOperation), replayed, standing };
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
  exchange.answer(200, { ...shown(exchange.context.store, divergence, divergence.number), changes, next });
}

function pageOf({ target }: Exchange): { readonly after: number; readonly limit: number } {
  refuseOtherParameters(target, ['after', 'limit']);
  const page = { after: 0, limit: PAGE_COMMITS };
  for (const name of ['after', 'limit'] as const) {
    const value = target.parameters.get(name);
    if (value === undefined) continue;
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
const forgetSchema = z.strictObject({ divergence: nameSchema });

/** POST /admin/divergences/forget {"divergence": N}: drops one for good. */
export async function postForgetDivergence(exchange: Exchange): Promise<void> {
  const { divergence } = checked(forgetSchema, await adminBody(exchange, '{"divergence": "1"}'), 'the body');
  const { name, commits } = findDivergence(exchange.context, divergence);
  await exchange.context.store.journal.divergences.forget(name);
  exchange.answer(200, { name, commits, forgotten: true });
}

const markSchema = z.strictObject({ divergence: nameSchema, revisions: z.array(revisionSchema) });

/** POST /admin/divergences/mark {"divergence": N, "revisions": […]}: records that they were applied at the primary. */
export async function postReplayed(exchange: Exchange): Promise<void> {
  const { divergence, revisions } = checked(markSchema, await adminBody(exchange, '{"divergence": "1", "revisions": [1206]}'), 'the body');
  const { name } = findDivergence(exchange.context, divergence);
  await exchange.context.store.journal.divergences.markReplayed(name, revisions);
  exchange.answer(200, { name, marked: revisions.length });
}
