import { FRAME_VERSION, type Obstacle, type TargetFacts } from '@evertree/core';
import type { PeerStatus } from '@evertree/producer';

/** What a preflight found: obstacles stand in the way, warnings do not. */
export interface PreflightFindings {
  readonly obstacles: Obstacle[];
  readonly warnings: Obstacle[];
}

/** One question and its answer: when it was asked, by this site's clock, and what the far end's clock showed meanwhile. */
export interface ClockSample {
  readonly askedAt: number;
  readonly tookMs: number;
  readonly time: number;
}

/** How far another site's clock is ahead of this one's; negative where it is behind. */
export interface ClockDifference {
  readonly ms: number;
  /** The true difference is at most this far from `ms`. */
  readonly withinMs: number;
}

/**
 * The far end's clock was read between the question and the answer: the quickest answer tells most. No word of the far
 * end is believed beyond that.
 */
export function clockDifference(samples: readonly ClockSample[]): ClockDifference | undefined {
  const [first, ...others] = samples;
  if (first === undefined) return undefined;
  const { askedAt, tookMs, time } = others.reduce((best, next) => (next.tookMs < best.tookMs ? next : best), first);
  return { ms: time - (askedAt + tookMs / 2), withinMs: tookMs / 2 };
}

/** Told only where the clocks certainly differ by more than `limitMs`. */
export function judgeClocks(to: string, from: string, { ms, withinMs }: ClockDifference, limitMs: number): Obstacle[] {
  if (Math.abs(ms) - withinMs <= limitMs) return [];
  const isAhead = ms > 0;
  const effect = isAhead
    ? 'the times of commits would jump ahead, and after a switch back they would stand still for as long'
    : 'the times of commits would stand still until its clock has caught up';
  const text =
    `the clock of ${to} is ${seconds(Math.abs(ms))} ${isAhead ? 'ahead of' : 'behind'} that of ${from} ` +
    `(measured over the link, to within ${seconds(withinMs)}; more than ${seconds(limitMs)} is told): ${effect}; set the clocks of both, with NTP for example`;
  return [{ code: 'clocks-differ', text }];
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`;
}

/** Whether the old primary can read what the target would write. Unlike versions of the protocol never have a link. */
export function judgeVersions(
  to: string,
  { program: theirs, frameVersion }: TargetFacts,
  from: string,
  program: string,
): PreflightFindings {
  if (frameVersion > FRAME_VERSION) {
    const text = `${to} (${theirs}) would write frames of version ${frameVersion}, and ${from} (${program}) reads the versions up to ${FRAME_VERSION}, so it could not follow: update ${from} first`;
    return { obstacles: [{ code: 'frames-unreadable', text }], warnings: [] };
  }
  if (theirs === program) return { obstacles: [], warnings: [] };
  const text = `${to} runs ${theirs}, and ${from} runs ${program}: update one of them, unless this switchover is a step of an update`;
  return { obstacles: [], warnings: [{ code: 'programs-differ', text }] };
}

/** The other secondaries that the target would not feed, by name. */
export function judgeReach(to: string, facts: TargetFacts, from: string, secondaries: readonly PeerStatus[]): Obstacle[] {
  const { reaches, unreached, logs } = facts;
  const warnings: Obstacle[] = [];
  for (const { site, through, state } of secondaries) {
    if (site === to || (through === null ? reaches.includes(site) : logs.includes(through))) continue;
    const away = state === 'offline' ? ` (${site} is offline at ${from}, too)` : '';
    const text =
      through === null
        ? `${to} would not feed ${site}: ${site} does not answer at any address of the primary file of ${to}${away}${unreachedText(unreached)}; add its address to that file, or ${site} gets nothing new`
        : `${to} would not feed ${site}: ${site} reads ${through}, and the primary file of ${to} does not name it; add it to that file, or ${site} gets nothing new`;
    warnings.push({ code: 'secondary-unreached', text });
  }
  return warnings;
}

function unreachedText(unreached: readonly string[]): string {
  return unreached.length === 0 ? '' : `; no site answered at ${unreached.join(', ')}`;
}
