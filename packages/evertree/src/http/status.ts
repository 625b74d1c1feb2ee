import { ORIGIN, type Position, type Role, type Store } from '@evertree/core';
import { stateOf } from '../divergences/divergence-state.ts';
import type { HttpContext } from './context.ts';
import type { Exchange } from './exchange.ts';
import { RequestError } from './problem.ts';
import { refuseOtherParameters } from './target.ts';
import { plainPosition } from './write.ts';

/** GET /status: this site, and each secondary that it knows. Only stable positions leave the process. */
export function getStatus(exchange: Exchange): void {
  exchange.refuseParameters();
  exchange.answer(200, statusOf(exchange.context));
}

function statusOf(context: HttpContext): object {
  const { store, version, site } = context;
  const { producer, consumer } = site;
  const { position, digest } = store.stable;
  return {
    site: site.name,
    role: site.role,
    state: site.state,
    reason: store.stateReason?.message ?? consumer?.state.lastError ?? null,
    version,
    stream: store.stream,
    position: plainPosition(position),
    digest,
    // A journal in memory calls positions stable that are lost with the process.
    durable: plainPosition(store.journal.log.durable ? position : ORIGIN),
    journalBytes: store.journal.retention.storedBytes,
    ...retentionOf(context),
    history: historyOf(context),
    ...acknowledgementOf(context),
    ...rolesOf(context),
    archive: archiveOf(context),
    peers: producer?.peers ?? [],
    ...(consumer === undefined ? {} : { consumer: consumer.state }),
  };
}

/** The newest entries of the table of epochs that are told. */
const EPOCHS_TOLD = 32;

/** Who leads, who led before, and what is under way. An epoch that is not stable yet is not told. */
function rolesOf({ store, site, admission }: HttpContext): object {
  const { position } = store.stable;
  const { fencedBy } = store.journal.identity;
  const divergences = store.journal.divergences.list().map(each => {
    const { name, commits, keptAt } = each;
    return { name, commits, keptAt, state: stateOf(store, each) };
  });
  return {
    standing: site.standing,
    epochs: store.epochs.filter(({ base }) => base.revision < position.revision).slice(-EPOCHS_TOLD),
    switch: site.switching ?? null,
    fencedBy: fencedBy ?? null,
    // Another site that was promoted independently of this one, or of the one that this one follows.
    rival: site.rival ?? null,
    heldWrites: admission.held,
    divergences,
  };
}

/** What writes wait for by configuration, and whether one of them still keeps further ones out. */
function acknowledgementOf({ site, admission }: HttpContext): object {
  if (site.acknowledgement === undefined) return {};
  return { acknowledgement: { ...site.acknowledgement, overdue: admission.overdue ?? null } };
}

/** How much the history may take, and which peers need a full copy: soon if they stay away, or already. */
function retentionOf({ store }: HttpContext): object {
  const { status } = store.journal.retention;
  if (status === undefined) return {};
  const { maxBytes, atRisk, passed } = status;
  return { retention: { maxBytes, atRisk, passed } };
}

/** How far back the history reaches, what it takes, and what is kept beyond its limits, for whom. */
function historyOf({ store }: HttpContext): object {
  const { retention } = store.journal;
  const { maxBytes, fullInMs, held = [] } = retention.status ?? {};
  const { position, time } = beginOfHistory(store);
  return {
    from: { position: plainPosition(position), time: time ?? null },
    bytes: retention.storedBytes,
    maxBytes: maxBytes ?? null,
    // At the rate of the newest history; null if it does not grow.
    fullInMs: fullInMs ?? null,
    held: held.map(each => ({ ...each, position: plainPosition(each.position) })),
  };
}

/** Where the archive of this site stands; null without one. */
function archiveOf({ site }: HttpContext): object | null {
  if (site.archive === undefined) return null;
  const { position, lag, gaps, ...status } = site.archive.status;
  return {
    ...status,
    position: position === null ? null : plainPosition(position),
    lag: { revisions: lag.commits, ms: lag.milliseconds },
    gaps: gaps.map(gap => ({ ...gap, from: plainPosition(gap.from), to: plainPosition(gap.to) })),
  };
}

/** Where the history that this site keeps begins, and when that was, as far as it is known. */
export function beginOfHistory({ journal: { log, retention }, epochs }: Store): {
  readonly position: Position;
  readonly time: number | undefined;
} {
  const from = retention.status?.from;
  const position = from?.position ?? log.base;
  const [first] = epochs;
  return { position, time: position.revision === 0 && first?.base.revision === 0 ? first.time : from?.time };
}

/**
 * GET /healthz: whether this process works; if not, a restart helps. With `?role=primary` or `?role=secondary` also
 * whether it is in that role, so that a load balancer sends writes to the one primary.
 */
export function getHealth(exchange: Exchange): void {
  const { store, site } = exchange.context;
  const wanted = roleParameter(exchange);
  const alive = store.state !== 'failed' && store.state !== 'closed';
  if (wanted === undefined || !alive) {
    exchange.answer(alive ? 200 : 503, { status: alive ? 'ok' : store.state });
    return;
  }
  const { role, standing } = site;
  // A site that was a primary and is fenced, or hands over, plays neither role.
  const plays = standing === wanted && store.state !== 'refusing';
  exchange.answer(plays ? 200 : 503, { status: plays ? 'ok' : 'other-role', role, standing });
}

/** @throws RequestError REQUEST_INVALID for another parameter, or another role */
function roleParameter({ target }: Exchange): Role | undefined {
  refuseOtherParameters(target, ['role']);
  const role = target.parameters.get('role');
  if (role === undefined || role === 'primary' || role === 'secondary') return role;
  throw new RequestError('REQUEST_INVALID', `there is no role ${JSON.stringify(role.slice(0, 100))}; ask for primary or secondary`);
}

/** GET /readyz: whether a primary takes writes, or a secondary is fed and within its lag bound. */
export function getReadiness(exchange: Exchange): void {
  exchange.refuseParameters();
  const obstacle = obstacleOf(exchange.context);
  exchange.answer(obstacle === undefined ? 200 : 503, { status: obstacle === undefined ? 'ready' : 'not-ready', reason: obstacle ?? null });
}

function obstacleOf(context: HttpContext): string | undefined {
  const { store, limits, admission } = context;
  const { consumer } = context.site;
  // A secondary whose disk is full takes no frames, so that it does not know its lag.
  if (store.state === 'refusing') return `no writes are taken here (${store.standing}): the status says why`;
  if (store.state !== 'open') return `the store is ${store.state}`;
  if (store.role === 'primary') return admission.overdue === undefined ? undefined : 'too few secondaries acknowledge';
  if (consumer === undefined) return 'nothing feeds this secondary';
  const { state, lag } = consumer.state;
  if (state === 'replicating') return undefined;
  if (state !== 'catching-up') return `the secondary is ${state}`;
  const lagMs = lag?.ms ?? null;
  if (lagMs === null) return 'it is not known how far the secondary is behind';
  return lagMs <= limits.readyLagMs ? undefined : `the secondary is ${lagMs} ms behind; ${limits.readyLagMs} are allowed`;
}
