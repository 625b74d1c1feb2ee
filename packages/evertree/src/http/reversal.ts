import { type Commit, formatPath, isEvertreeError, parsePath, parsePosition, SnapshotNode, type Snapshot } from '@evertree/core';
import type { PathDifference, Reversal, ReversalConflict } from '@evertree/history';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import { commitNote } from './commit-note.ts';
import type { Exchange } from './exchange.ts';
import { type Preconditions, readTreeConditions } from './headers.ts';
import { differenceJson, type JsonText } from './history-json.ts';
import { sendList } from './json-list.ts';
import { whenOf } from './parameters.ts';
import { RequestError } from './problem.ts';
import { adminBody } from './roles.ts';
import { assertWritable, commitAdmitted, type Made, optionsOf, plainPosition, readWish, settle } from './write.ts';

const revertSchema = z.strictObject({
  path: z.string().exactOptional(),
  to: z.string().exactOptional(),
  commit: z.string().exactOptional(),
  conflicts: z.enum(['overwrite', 'skip']).exactOptional(),
  dryRun: z.boolean().exactOptional(),
  author: z.string().exactOptional(),
  message: z.string().exactOptional(),
});

type RevertRequest = z.infer<typeof revertSchema>;

/**
 * POST /admin/revert {"path", "to"} makes a subtree what it was at a moment, {"commit"} undoes one commit; each as one
 * new commit. With "dryRun" it tells what that would change.
 */
export async function postRevert(exchange: Exchange): Promise<void> {
  const conditions = readTreeConditions(exchange.request.headers, 'a revert');
  const body = checked(revertSchema, await adminBody(exchange, '{"path": "/devices", "to": "-10m"}'), 'the body');
  if (body.dryRun !== true) await assertWritable(exchange);
  const { reversal, told } = await reversalOf(exchange, body);
  if (body.dryRun === true) {
    const empties = await wouldEmpty(exchange, changesOf(reversal, body));
    const conflicts = reversal.conflicts.map(conflictJson);
    const head = { ...told, base: plainPosition(reversal.base.position), empties, conflicts };
    return sendList(exchange, { head, name: 'differences' }, differenceTexts(reversal.differences));
  }
  const wish = readWish(exchange);
  const options = {
    ...optionsOf(conditions, commitNote(exchange, body)),
    ...(body.conflicts === undefined ? {} : { conflicts: body.conflicts }),
  };
  const made = await commitReversal(exchange, conditions, () => reversal.commit(options));
  const settled = await settle(exchange.context, made, wish);
  const changes = changesOf(reversal, body).length;
  // The paths may have been judged anew by then.
  exchange.answer(200, { ...settled.body, ...told, changes, conflicts: reversal.conflicts.map(conflictJson) }, settled.headers);
}

/** A reversal is prepared for some turns: if a switchover begins meanwhile it waits, as a write does that comes then. */
async function commitReversal(
  exchange: Exchange,
  conditions: Pick<Preconditions, 'seenEpoch'>,
  commit: () => Promise<Commit>,
): Promise<Made> {
  for (;;) {
    try {
      return await commitAdmitted(exchange, conditions, commit);
    } catch (error) {
      if (!isEvertreeError(error, 'SWITCHING')) throw error;
    }
  }
}

/** What a reversal changes, with what is done where there are conflicts. */
function changesOf({ differences, conflicts }: Reversal, { conflicts: how }: RevertRequest): readonly PathDifference[] {
  return how === 'overwrite' ? [...differences, ...conflicts.map(({ difference }) => difference)] : differences;
}

interface WantedReversal {
  readonly reversal: Reversal;
  /** What the answer tells of what was asked for. */
  readonly told: Readonly<Record<string, unknown>>;
}

async function reversalOf({ context }: Exchange, { path, to, commit }: RevertRequest): Promise<WantedReversal> {
  const { history, store } = context;
  if (commit !== undefined && path === undefined && to === undefined) {
    const position = parsePosition(commit);
    if (position === undefined) throw invalid(`commit is ${JSON.stringify(commit.slice(0, 100))}; write a position such as 4-1201`);
    return { reversal: await history.revertCommit(position), told: { commit: position } };
  }
  if (commit !== undefined || path === undefined || to === undefined) {
    throw invalid('the body needs "path" and "to", or "commit" alone, such as {"path": "/devices", "to": "-10m"} or {"commit": "4-1201"}');
  }
  const moment = await history.resolve(whenOf('to', to, store.clock.now()));
  const reversal = await history.revertPath(parsePath(path), moment.position);
  return { reversal, told: { path, to: plainPosition(moment.position), time: moment.time, taken: moment.taken } };
}

function invalid(message: string): RequestError {
  return new RequestError('REQUEST_INVALID', message);
}

function conflictJson({ path, position, time, author, difference: { before, after } }: ReversalConflict): object {
  return { path: formatPath(path), position: position === undefined ? null : plainPosition(position), time, author, before, after };
}

async function* differenceTexts(differences: readonly PathDifference[]): AsyncGenerator<JsonText> {
  for (const difference of differences) yield differenceJson(difference);
}

/** Whether nothing would be left of a tree that has something. */
async function wouldEmpty({ context }: Exchange, differences: readonly PathDifference[]): Promise<boolean> {
  using reading = await context.stability.read();
  return leavesNothing(reading.snapshot, differences);
}

function leavesNothing(snapshot: Snapshot, differences: readonly PathDifference[]): boolean {
  const top = snapshot.at([]);
  if (!(top instanceof SnapshotNode) || top.size === 0) return false;
  const whole = differences.find(({ path }) => path.length === 0);
  if (whole !== undefined) return whole.after === undefined || isEmptyObject(whole.after);
  const removed = differences.filter(({ path, kind }) => path.length === 1 && kind === 'delete');
  return removed.length === top.size && removed.length === differences.length;
}

function isEmptyObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  for (const _ in value) return false;
  return true;
}
