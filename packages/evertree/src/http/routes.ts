import { type Bearer, lacksRight, type AccessRight } from '@evertree/core';
import { postForget, postReload, SnapshotRequests } from './admin.ts';
import { postBackup } from './backup.ts';
import { postBatch } from './batch.ts';
import type { DeferredMetrics } from './deferred-metrics.ts';
import { type DigestPins, postRepair } from './digests.ts';
import { deleteData, PATCH_TYPES, patchData, putData, readData } from './data.ts';
import { getHistory } from './history.ts';
import { getDivergences, postForgetDivergence, postReplayed } from './divergences.ts';
import { postReplay } from './replay.ts';
import type { Exchange } from './exchange.ts';
import { getMarks, postMark, postUnmark } from './marks.ts';
import { getBlame, getDiff, getFindings } from './past.ts';
import { RequestError } from './problem.ts';
import { postRevert } from './reversal.ts';
import { getHealth, getReadiness, getStatus } from './status.ts';
import { postPromote, postSwitchover } from './roles.ts';
import { getTimestamps, postTimestamp } from './timestamp.ts';
import type { Watches } from './watch.ts';

export type Handler = (exchange: Exchange) => Promise<void> | void;

export interface Route {
  /** As metrics name it. */
  readonly name: string;
  /** What stands below it, which belongs to it, too. */
  readonly below?: 'pointer' | 'pin' | 'divergence' | 'position';
  /** Whether it is open to everybody, token or not. */
  readonly open?: true;
  /** The right that it needs of a token's bearer, whatever the method; by default `rightFor` tells. */
  readonly right?: AccessRight;
  /** Its answer tells what the tree holds or held: it needs `read` beside. */
  readonly tells?: true;
  readonly methods: Readonly<Record<string, Handler>>;
  /** What it is for, in `GET /`. */
  readonly about: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Routes {
  readonly #routes: readonly Route[];

  constructor(watches: Watches, digests: DigestPins, metrics: DeferredMetrics) {
    const watch: Handler = exchange => watches.serve(exchange);
    const snapshots = new SnapshotRequests();
    this.#routes = [
      {
        name: '/',
        methods: { GET: exchange => this.#answerIndex(exchange), HEAD: exchange => this.#answerIndex(exchange) },
        about: 'what there is here',
      },
      {
        name: '/data',
        below: 'pointer',
        methods: { GET: readData, HEAD: readData, PUT: putData, DELETE: deleteData, PATCH: patchData },
        headers: { 'Accept-Patch': PATCH_TYPES },
        about: 'the tree: read, replace, remove or patch the subtree at a JSON pointer',
      },
      { name: '/batch', methods: { POST: postBatch }, about: 'many changes: an operation, or an array of them, a line' },
      {
        name: '/watch',
        below: 'pointer',
        methods: { GET: watch },
        about: 'changes of a subtree as Server-Sent Events; * stands for any key',
      },
      {
        name: '/history',
        below: 'position',
        methods: { GET: getHistory, HEAD: getHistory },
        about: 'commits that concern a path, newest first; one commit; each as it comes',
      },
      {
        name: '/diff',
        methods: { GET: past(getDiff), HEAD: past(getDiff) },
        about: 'what turns the state of one moment into that of another',
      },
      { name: '/blame', methods: { GET: past(getBlame), HEAD: past(getBlame) }, about: 'who set each leaf of a subtree last' },
      { name: '/marks', methods: { GET: getMarks, HEAD: getMarks }, about: 'the named states' },
      {
        name: '/find',
        methods: { GET: past(getFindings), HEAD: past(getFindings) },
        about: 'the commits that deleted something, set a value, or are by an author',
      },
      {
        name: '/digests',
        below: 'pin',
        right: 'read',
        methods: { POST: exchange => digests.post(exchange), DELETE: exchange => digests.delete(exchange) },
        about: 'digests of parts of the tree at one position, to find where another tree differs',
      },
      { name: '/status', methods: { GET: getStatus, HEAD: getStatus }, about: 'role, position, digest, and each secondary' },
      {
        name: '/divergences',
        below: 'divergence',
        methods: { GET: getDivergences, HEAD: getDivergences },
        about: 'commits that a promotion left behind, and that this site keeps',
      },
      { name: '/healthz', open: true, methods: { GET: getHealth, HEAD: getHealth }, about: 'liveness, for a probe' },
      { name: '/readyz', open: true, methods: { GET: getReadiness, HEAD: getReadiness }, about: 'readiness, for a probe' },
      { name: '/metrics', methods: { GET: exchange => sendMetrics(exchange, metrics) }, about: 'figures for Prometheus' },
      { name: '/admin/snapshot', methods: { POST: exchange => snapshots.serve(exchange) }, about: 'write a snapshot to the disk' },
      {
        name: '/admin/backup',
        methods: { POST: postBackup },
        about: 'archive what is stable now into a directory or a bucket; GET /status tells of the continuous archive',
      },
      {
        name: '/admin/timestamp',
        methods: { GET: getTimestamps, POST: postTimestamp },
        about: 'hold the history for a copy that another tool makes of the directory, and prove that it was held',
      },
      {
        name: '/admin/reload',
        methods: { POST: postReload },
        about: "take over the tokens and certificates that the site's files have now",
      },
      { name: '/admin/forget', methods: { POST: postForget }, about: 'take a lost secondary off the list' },
      { name: '/admin/switchover', methods: { POST: postSwitchover }, about: 'let another site lead, with nothing lost' },
      { name: '/admin/promote', methods: { POST: postPromote }, about: 'make this site the primary although the present one is gone' },
      { name: '/admin/mark', right: 'write', methods: { POST: postMark }, about: 'name a state' },
      { name: '/admin/unmark', right: 'write', methods: { POST: postUnmark }, about: 'remove the name of a state' },
      {
        name: '/admin/revert',
        right: 'write',
        tells: true,
        methods: { POST: past(postRevert) },
        about: 'make a subtree what it was at a moment, or undo one commit',
      },
      { name: '/admin/divergences/replay', methods: { POST: postReplay }, about: 'apply commits of a divergence at this primary' },
      { name: '/admin/divergences/mark', methods: { POST: postReplayed }, about: 'record which commits of a divergence were applied' },
      { name: '/admin/divergences/forget', methods: { POST: postForgetDivergence }, about: 'drop a divergence for good' },
      { name: '/admin/repair', methods: { POST: postRepair }, about: 'make a secondary equal to another site, as compare --repair does' },
    ];
  }

  /** @param path of a target, not decoded */
  find(path: string): Route | undefined {
    return this.#routes.find(({ name, below }) => path === name || (below !== undefined && path.startsWith(`${name}/`)));
  }

  /** GET /: every route, so that a client finds the others from here. */
  #answerIndex(exchange: Exchange): void {
    exchange.refuseParameters();
    const { site, version } = exchange.context;
    const links = this.#routes.map(({ name, below, methods, about }) => ({
      href: name,
      ...(below === undefined ? {} : { template: `${name}/<${below}>` }),
      methods: Object.keys(methods),
      about,
    }));
    exchange.answer(200, { program: 'evertree', version, site: site.name, role: site.role, links });
  }
}

const READING: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

function rightFor({ name, right }: Route, method: string | undefined): AccessRight {
  if (right !== undefined) return right;
  if (name.startsWith('/admin/')) return 'admin';
  return READING.has(method) ? 'read' : 'write';
}

/** @throws RequestError FORBIDDEN with the token's name, and the right that it lacks */
export function checkRight(route: Route, method: string | undefined, bearer: Bearer): void {
  const needed = rightFor(route, method);
  const right = route.tells === true && bearer.rights.includes(needed) ? 'read' : needed;
  if (bearer.rights.includes(right)) return;
  const message = `${lacksRight(bearer, right)}, and ${method} ${route.name} needs it`;
  throw new RequestError('FORBIDDEN', message, { token: bearer.name, right, rights: bearer.rights });
}

/** A question about the past: a bounded number of them is answered at one time. */
function past(handler: (exchange: Exchange) => Promise<void>): Handler {
  return exchange => exchange.context.questions.during(() => handler(exchange));
}

/** @throws RequestError NOT_FOUND, METHOD_NOT_ALLOWED */
export async function dispatch(route: Route | undefined, exchange: Exchange): Promise<void> {
  const method = exchange.request.method ?? '';
  if (route === undefined) {
    if (method === 'OPTIONS' && exchange.target.path === '*') {
      exchange.response.writeHead(204).end();
      return;
    }
    throw new RequestError(
      'NOT_FOUND',
      `there is no ${JSON.stringify(exchange.target.path.slice(0, 200))} here; GET / lists what there is`,
    );
  }
  const allow = [...Object.keys(route.methods), 'OPTIONS'].join(', ');
  const handler = Object.hasOwn(route.methods, method) ? route.methods[method] : undefined;
  if (handler !== undefined) {
    await handler(exchange);
  } else if (method === 'OPTIONS') {
    exchange.response.writeHead(204, { Allow: allow, ...route.headers }).end();
  } else {
    throw new RequestError('METHOD_NOT_ALLOWED', `${route.name} takes ${allow}, and not ${method}`, {}, { Allow: allow });
  }
}

async function sendMetrics(exchange: Exchange, metrics: DeferredMetrics): Promise<void> {
  exchange.refuseParameters();
  const { registry } = await metrics.load();
  const text = await registry.metrics();
  exchange.response.writeHead(200, { 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).end(text);
}

/** @throws RequestError FORBIDDEN for a request that only an administrator may make, at a site that has none */
export function refuseAdministration(route: Route, method: string | undefined): void {
  if (rightFor(route, method) !== 'admin') return;
  throw new RequestError('FORBIDDEN', `this site is only there to be looked at, and ${method} ${route.name} would change what it is`);
}
