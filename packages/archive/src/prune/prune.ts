import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { Manifest } from '../format/manifest.ts';
import { movingHead } from '../publishing/head-mover.ts';
import { type HeadState, readHeadState } from '../publishing/head-state.ts';
import type { Target } from '../targets/target.ts';
import { countCondemned, deleteCondemned, type Deletion } from './deletion.ts';
import { checkRules } from './keep-rules.ts';
import { PinnedObjects } from './pinned-objects.ts';
import { LEAST_GRACE_MS } from './pin.ts';
import { planPrune, type PrunePlan, type PruneRequest } from './prune-plan.ts';
import { type PruneReport, reportOf } from './prune-report.ts';
import { listUnnamed, UNNAMED_LEAST_AGE_MS } from './unnamed-objects.ts';

/** What nobody needs stays for so long, in case somebody reads it who has not pinned it. */
const DEFAULT_GRACE_MS = 86_400_000;

export interface PruneOptions extends PruneRequest {
  /** Says what would happen, and changes nothing. */
  readonly dryRun?: boolean;
  readonly graceMs?: number;
  /**
   * The caller's word that nobody else reads or writes the archive meanwhile. Then the grace may be shorter than an hour,
   * and the target need not refuse what its conditions forbid.
   */
  readonly isExclusive?: boolean;
  /** Of what is deleted. */
  readonly progress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Removes from an archive what no rule keeps, in steps of which each may be the last: whoever prunes next goes on.
 *
 * 1. A new manifest without what is dropped, which condemns it together with what nothing names.
 * 2. What was condemned for the grace and is in no pinned manifest is deleted, and looked for.
 * 3. A new manifest that condemns no more what is gone.
 *
 * Where the target is too full for the first, the other two come before it.
 *
 * @throws EvertreeError VALUE_INVALID for rules and grace, NOT_FOUND, FORBIDDEN, DAMAGED, and those of the target
 */
export async function prune(target: Target, options: PruneOptions): Promise<PruneReport> {
  const { rules, graceMs = DEFAULT_GRACE_MS, isExclusive = false, dryRun = false, progress } = options;
  checkRules(rules);
  checkGrace(graceMs, isExclusive);
  const listed = await listUnnamed(target);
  const leastAgeMs = isExclusive ? Math.min(graceMs, UNNAMED_LEAST_AGE_MS) : UNNAMED_LEAST_AGE_MS;
  let planned: { readonly state: HeadState; readonly plan: PrunePlan } | undefined;
  const plan = (state: HeadState) => {
    assertAlone(target, state, isExclusive);
    planned = { state, plan: planOf(state, listed, options, leastAgeMs) };
    return planned;
  };
  if (dryRun) {
    const wouldBe = plan(await readHeadState(target));
    return reportOf({ ...wouldBe, dryRun, graceMs }, await wouldDelete(target, wouldBe, graceMs));
  }
  const condemn = () =>
    movingHead(target, state => {
      const { plan: next } = plan(state);
      const lines = next.lines.flatMap(line => line.next ?? []);
      return next.isChange ? { manifest: { stream: state.manifest!.stream, lines, condemned: next.condemned } } : undefined;
    });
  const deleteDue = () => deleteCondemned(target, { graceMs, ...(progress === undefined ? {} : { progress }) });
  const freed = await makingRoom(condemn, deleteDue);
  const { gone, ...deletion } = await deleteDue();
  const all = { objects: gone.objects + freed.objects, bytes: gone.bytes + freed.bytes };
  return reportOf({ ...planned!, dryRun, graceMs }, { ...deletion, gone: all });
}

/** A full target has no room for a manifest, until what was condemned before is gone. @returns what went for that */
async function makingRoom(condemn: () => Promise<unknown>, deleteDue: () => Promise<Deletion>): Promise<Deletion['gone']> {
  try {
    await condemn();
    return { objects: 0, bytes: 0 };
  } catch (error) {
    if (!isEvertreeError(error, 'STORAGE_FULL')) throw error;
    const { gone } = await deleteDue();
    if (gone.objects === 0) throw error;
    await condemn();
    return gone;
  }
}

function planOf(state: HeadState, listed: Awaited<ReturnType<typeof listUnnamed>>, request: PruneRequest, leastAgeMs: number): PrunePlan {
  const { manifest } = state;
  if (manifest === undefined) return { lines: [], dropped: [], unnamed: [], condemned: [], isChange: false };
  return planPrune({ ...state, manifest }, listed, request, leastAgeMs);
}

async function wouldDelete(target: Target, { state, plan }: { state: HeadState; plan: PrunePlan }, graceMs: number): Promise<Deletion> {
  const pins = await PinnedObjects.read(target, state.time);
  const manifest: Pick<Manifest, 'lines' | 'condemned'> = { lines: plan.lines.flatMap(line => line.next ?? []), condemned: plan.condemned };
  const left = countCondemned({ manifest, time: state.time, pins, graceMs });
  return { gone: left.due, stubborn: [], left, pins };
}

function checkGrace(graceMs: number, isExclusive: boolean): void {
  if (!Number.isSafeInteger(graceMs) || graceMs < 0) {
    throw new EvertreeError('VALUE_INVALID', `the grace of ${graceMs} ms is no time; write whole milliseconds from 0`);
  }
  if (graceMs >= LEAST_GRACE_MS || isExclusive) return;
  const message =
    'a grace of less than an hour takes away what others are reading or writing now; ' +
    'say with --exclusive that nobody else reads or writes the archive meanwhile';
  throw new EvertreeError('VALUE_INVALID', message, { graceMs });
}

function assertAlone(target: Target, { head }: HeadState, isExclusive: boolean): void {
  if (head.conditions || isExclusive) return;
  const message =
    `${target.name} does not refuse what its conditions forbid, so a prune could undo what a site archives meanwhile: ` +
    'stop the site, and say with --exclusive that nobody else reads or writes the archive';
  throw new EvertreeError('FORBIDDEN', message, { target: target.name });
}
