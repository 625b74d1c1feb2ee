import {
  formatPath,
  isEvertreeError,
  type Commit,
  type CommitOptions,
  type ErrorCode,
  type ExactPosition,
  type Path,
  type Position,
  type PreparedTransaction,
  type Store,
  type Transaction,
  type TransactionSteps,
} from '@evertree/core';
import { type CommitNote, commitNote } from './commit-note.ts';
import type { HttpContext } from './context.ts';
import { positionHeader, type Exchange } from './exchange.ts';
import { checkForWrite, checkSeenEpoch, readStatedWish, type AcknowledgementWish, type Preconditions } from './headers.ts';

/** The position after a write, and its last commit; undefined when the write changed nothing. */
export interface Made {
  readonly position: ExactPosition;
  readonly commit: Commit | undefined;
}

/** Errors that say something about the tree, and so wait until that is stable. */
const TELLING: readonly ErrorCode[] = ['NOT_FOUND', 'TEST_FAILED', 'POSITION_MISMATCH', 'GUARD_FAILED', 'PATH_INVALID'];

/** What a request changes: in one step, or large, and prepared in steps. */
export type RequestedChange = ((transaction: Transaction) => void) | { readonly steps: TransactionSteps };

/** So often a large change is prepared, if others commit what it may depend on. Then it is made in one step. */
const PREPARATIONS = 3;

/**
 * Commits one change of the subtree at `path` if the preconditions hold.
 * @throws EvertreeError whatever `transact` throws, and POSITION_MISMATCH; RequestError as WriteAdmission.wait
 */
export async function commit(exchange: Exchange, conditions: Preconditions, path: Path, change: RequestedChange): Promise<Made> {
  const note = commitNote(exchange);
  if ('steps' in change) await admitted(exchange);
  const work = 'steps' in change ? await prepare(exchange.context, path, change.steps) : change;
  return commitAdmitted(exchange, conditions, store => {
    // Before the preconditions are judged: who hears that a frame is cut may commit.
    if (typeof work !== 'function') store.cut();
    if (conditions.match !== undefined || conditions.noneMatch !== undefined) {
      checkForWrite(conditions, formatPath(path), store.digestAt(path));
    }
    const options = optionsOf(conditions, note);
    return typeof work === 'function' ? store.transact(work, options) : store.commitPrepared(work, options);
  });
}

/** Runs a transaction ahead, in steps. @throws EvertreeError what `transact` throws if no writes are taken */
export async function prepare({ store, turns }: HttpContext, path: Path, steps: TransactionSteps): Promise<PreparedTransaction> {
  store.transact(() => undefined);
  for (let count = 1; ; count++) {
    const prepared = await turns.run(store.prepare(path, steps));
    if (count === PREPARATIONS || store.isCurrent(prepared)) return prepared;
  }
}

/** The options of a commit that is made only at the position that the request demands, if it demands one. */
export function optionsOf({ position }: Pick<Preconditions, 'position'>, note: CommitNote): CommitOptions {
  return position === undefined ? note : { ...note, ifPosition: position };
}

/**
 * Makes a commit as soon as writes are taken. Nothing comes between the judgement that they are and a `make` that
 * commits in the same turn.
 * @throws EvertreeError whatever `make` throws, and FENCED; RequestError as WriteAdmission.wait
 */
export async function commitAdmitted(
  exchange: Exchange,
  conditions: Pick<Preconditions, 'seenEpoch'>,
  make: (store: Store) => Commit | Promise<Commit>,
): Promise<Made> {
  const { context } = exchange;
  const { store } = context;
  await admitted(exchange);
  checkSeenEpoch(conditions, store.position);
  try {
    const made = make(store);
    if (made instanceof Promise) {
      const last = await made;
      return { commit: last, position: positionAfter(last, store.position) };
    }
    return { commit: made, position: store.position };
  } catch (error) {
    await settleError(context, error);
    throw error;
  }
}

/**
 * The position right after a commit, beyond which others may have committed since. If another epoch has begun since, it
 * is the present one, which is beyond the commit, too.
 */
export function positionAfter(made: Commit, present: ExactPosition): ExactPosition {
  const { epoch, revision } = made.position;
  return epoch === present.epoch ? { ...present, revision } : present;
}

async function admitted(exchange: Exchange): Promise<void> {
  const { admission } = exchange.context;
  for (let wait = admission.wait(exchange); wait !== undefined; wait = admission.wait(exchange)) await wait;
}

/**
 * Makes sure that this site takes writes, before something is looked up that only a write needs: elsewhere the sender
 * is to be told where to write, and not what this site does not know. @throws as `commitAdmitted`
 */
export async function assertWritable(exchange: Exchange): Promise<void> {
  await admitted(exchange);
  exchange.context.store.transact(() => undefined);
}

/** Waits until the state that an error tells of is stable. What Stability.settled throws takes the error's place. */
async function settleError(context: HttpContext, error: unknown): Promise<void> {
  if (isEvertreeError(error) && TELLING.includes(error.code)) await context.stability.settled();
}

/** A wish, and the headers that say how much of a preference was heard. */
export interface Wish {
  readonly acknowledgement: AcknowledgementWish | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Which secondaries a write waits for: those that it asks for, else those of the site's configuration. `Prefer: wait`
 * alone says only how long. @throws RequestError REQUEST_INVALID
 */
export function readWish({ context, request }: Exchange): Wish {
  const { acknowledgementMs, acknowledgementMaxMs } = context.limits;
  const stated = readStatedWish(request.headers);
  const usual = context.site.acknowledgement;
  const secondaries = stated.secondaries ?? usual?.secondaries;
  if (secondaries === undefined) return { acknowledgement: undefined, headers: {} };
  const usualMs = stated.secondaries === undefined && usual !== undefined ? usual.timeoutMs : acknowledgementMs;
  const timeoutMs = Math.min(stated.timeoutMs ?? usualMs, acknowledgementMaxMs);
  const onTimeout = stated.secondaries === undefined && usual !== undefined ? usual.onTimeout : 'fail';
  return {
    acknowledgement: { secondaries, timeoutMs, onTimeout },
    headers: stated.timeoutMs === undefined ? {} : { 'Preference-Applied': `wait=${timeoutMs / 1000}` },
  };
}

/** Waits until a commit is stable here, and then for as many secondaries as were wished. */
export async function settle(context: HttpContext, made: Made, wish: Wish): Promise<Settled> {
  await context.stability.reached(made.position);
  const acknowledged = await countAcknowledgements(context, made.commit, wish.acknowledgement);
  const position = plainPosition(made.position);
  return {
    body: context.store.journal.log.durable ? { position, acknowledged } : { position, acknowledged, durable: false },
    headers: { ...positionHeader(position), ...wish.headers },
  };
}

/** @throws EvertreeError ACKNOWLEDGEMENT_TIMEOUT, FENCED, CLOSED */
async function countAcknowledgements(
  { admission }: HttpContext,
  last: Commit | undefined,
  wish: AcknowledgementWish | undefined,
): Promise<number> {
  if (last === undefined) return 0;
  if (wish === undefined) return last.acknowledged(0);
  const { secondaries, timeoutMs, onTimeout } = wish;
  try {
    return await last.acknowledged(secondaries, { timeoutMs });
  } catch (error) {
    if (!isEvertreeError(error, 'ACKNOWLEDGEMENT_TIMEOUT')) throw error;
    if (onTimeout === 'continue') return last.acknowledged(0);
    if (onTimeout === 'refuse') admission.refuseUntil(last, secondaries);
    throw error;
  }
}

/** What the answer to a write says. */
export interface Settled {
  readonly body: { readonly position: Position; readonly acknowledged: number; readonly durable?: false };
  readonly headers: Readonly<Record<string, string>>;
}

export function plainPosition({ epoch, revision }: Position): Position {
  return { epoch, revision };
}
