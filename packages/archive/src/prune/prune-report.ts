import type { Position } from '@evertree/core';
import type { ArchivedObject } from '../format/manifest.ts';
import type { HeadState } from '../publishing/head-state.ts';
import { type Deletion, type ObjectCount, sumOf } from './deletion.ts';
import { LineStates } from './line-states.ts';
import type { LinePlan, PrunePlan } from './prune-plan.ts';

/** What a prune brought about, or would. */
export interface PruneReport {
  readonly archive: string;
  readonly dryRun: boolean;
  /** The target's time, milliseconds since 1970. */
  readonly time: number;
  readonly lines: readonly PrunedLine[];
  /** What nobody needs since now: dropped entries, and what nothing named. */
  readonly condemned: ObjectCount;
  readonly unnamed: ObjectCount;
  readonly deleted: ObjectCount;
  /** What goes later: at `until` at the earliest, milliseconds since 1970. */
  readonly waiting: ObjectCount & { readonly until: number | null };
  /** What would go now if nobody read it. */
  readonly pinned: ObjectCount;
  readonly pins: readonly ReportedPin[];
  /** Keys of objects that the target said were deleted, and that are there still. */
  readonly stubborn: readonly string[];
}

export interface ReportedPin {
  readonly key: string;
  /** Null if the pin can't be read; it holds everything then. */
  readonly purpose: string | null;
  readonly expiresAt: number | null;
}

export interface PrunedLine {
  readonly line: string;
  /** The name of its site; null where it is encrypted. */
  readonly site: string | null;
  readonly isWritten: boolean;
  readonly fate: LinePlan['fate'];
  /** States at which an image is or a stretch ends, and that can be restored. */
  readonly statesBefore: number;
  readonly states: number;
  readonly entries: readonly PrunedEntry[];
}

export interface PrunedEntry {
  readonly kind: ArchivedObject['kind'];
  /** Of an image both are its position. */
  readonly from: Position;
  readonly to: Position;
  /** Commit time at `to`, milliseconds since 1970. */
  readonly time: number;
  readonly objects: number;
  readonly bytes: number;
  /** The rules that keep it; empty: it is dropped. */
  readonly keptBy: readonly string[];
}

export interface PruneOutcome {
  readonly state: HeadState;
  readonly plan: PrunePlan;
  readonly dryRun: boolean;
  readonly graceMs: number;
}

export function reportOf({ state, plan, dryRun, graceMs }: PruneOutcome, { gone, stubborn, left, pins }: Deletion): PruneReport {
  const { since, ...waiting } = left.waiting;
  return {
    archive: state.head.archive,
    dryRun,
    time: state.time,
    lines: plan.lines.map(lineReport),
    condemned: sumOf([...plan.dropped, ...plan.unnamed]),
    unnamed: sumOf(plan.unnamed),
    deleted: gone,
    waiting: { ...waiting, until: since === undefined ? null : since + graceMs },
    pinned: left.pinned,
    pins: pins.pins.map(({ key, note }) => ({ key, purpose: note?.purpose ?? null, expiresAt: note?.expiresAt ?? null })),
    stubborn,
  };
}

function lineReport({ line, isWritten, fate, entries, next }: LinePlan): PrunedLine {
  const { id, objects } = line;
  const site = typeof line.private === 'object' && typeof line.private['site'] === 'string' ? line.private['site'] : null;
  return {
    line: id,
    site,
    isWritten,
    fate,
    statesBefore: new LineStates(id, objects).states.length,
    states: new LineStates(id, next?.objects ?? []).states.length,
    entries: entries.map(({ entry, keptBy }) => ({ ...entryReport(entry), keptBy })),
  };
}

function entryReport(entry: ArchivedObject): Omit<PrunedEntry, 'keptBy'> {
  if (entry.kind === 'image') {
    const { kind, position, time, parts } = entry;
    const at = { epoch: position.epoch, revision: position.revision };
    return { kind, from: at, to: at, time, ...sumOf(parts) };
  }
  const { kind, base, last, lastTime, bytes } = entry;
  const [from, to] = [base, last].map(({ epoch, revision }) => ({ epoch, revision })) as [Position, Position];
  return { kind, from, to, time: lastTime, objects: 1, bytes };
}
