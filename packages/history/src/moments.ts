import {
  covers,
  EvertreeError,
  type ExactPosition,
  type FrameHeader,
  formatExactPosition,
  formatPosition,
  includesRevision,
  type KeptDivergence,
  ORIGIN,
  PathSet,
  type Position,
  readChangeSets,
  samePosition,
} from '@evertree/core';
import type { HistoryReach } from './answers.ts';
import { IndexOutdated } from './change-index.ts';
import { frameHolding, headerHolding } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { nearNames } from './near-names.ts';
import { oldestSnapshot } from './past-reader.ts';
import { formatTime, type Moment } from './when.ts';

/** A path set without a path: of change sets read with it only their times are left. */
const NOTHING = new PathSet();

/**
 * The moment of a position in the history that stands.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH, POSITION_MISMATCH
 */
export async function momentOfPosition(view: HistoryView, asked: Position | ExactPosition): Promise<Moment> {
  const position = checkPosition(view, asked);
  return { position, time: await timeOf(view, position), taken: `${formatPosition(position)} as asked` };
}

/**
 * The moment that a time names: the last commit that is not after it.
 * @throws EvertreeError COMPACTED
 */
export async function momentOfTime(view: HistoryView, time: number): Promise<Moment> {
  const { log } = view.journal;
  const header = await log.findByTime(time);
  if (header === undefined) return momentBeforeFrames(view, time);
  const { position, time: found } = await lastNotAfter(view, header, time);
  const taken = `${formatPosition(position)} of ${formatTime(found)}, the last commit that is not after ${formatTime(time)}`;
  const overlap = await overlapOf(view, position, time);
  return { position, time: found, taken: overlap === undefined ? taken : `${taken}; ${overlap}` };
}

/**
 * The moment that a mark names.
 * @throws EvertreeError NOT_FOUND, with names that are near; COMPACTED
 */
export async function momentOfMark(view: HistoryView, name: string): Promise<Moment> {
  const mark = view.marks.find(each => each.name === name);
  if (mark === undefined) {
    const names = view.marks.map(each => each.name);
    const near = nearNames(name, names);
    const hint = near.length === 0 ? '' : `is it ${near.map(each => JSON.stringify(each)).join(' or ')}? `;
    const remedy =
      '"evertree marks" lists the marks. A moment may also be a position (4-1201), a time with its zone, or a time ago (-10m; -0s is now)';
    throw new EvertreeError('NOT_FOUND', `there is no mark ${JSON.stringify(name)}; ${hint}${remedy}`, { mark: name, near });
  }
  const { position, markedAt } = mark;
  const taken = `${formatPosition(position)}, which the mark ${JSON.stringify(name)} names since ${formatPosition(markedAt)}`;
  return { ...(await momentOfPosition(view, position)), taken };
}

/** How far back the history reaches. */
export async function reachOf(view: HistoryView): Promise<HistoryReach> {
  const { base } = view.journal.log;
  if (base.revision === 0) return { position: ORIGIN, time: 0, changesAfter: ORIGIN, elsewhere: undefined };
  const oldest = oldestSnapshot(view);
  const position = oldest?.position ?? view.last;
  const time = oldest?.time ?? (await timeOf(view, position));
  return { position, time, changesAfter: base, elsewhere: view.elsewhere(base.revision) };
}

/** The exact position that was asked for, if the history that stands went through it and it is kept here. */
function checkPosition(view: HistoryView, asked: Position | ExactPosition): ExactPosition {
  if (asked.revision > view.last.revision) throw divergedOr(view, asked, endedBefore(view, asked) ?? beyondTheEnd(view, asked));
  const position = view.exact(asked.revision);
  const isOurs = 'epochId' in asked ? covers(view, asked) : position.epoch === asked.epoch;
  if (!isOurs) throw divergedOr(view, asked, notOurs(asked, position));
  if (position.revision < view.journal.log.base.revision) throw view.compacted(position);
  return position;
}

function beyondTheEnd(view: HistoryView, asked: Position): EvertreeError {
  const message = `${formatPosition(asked)} is not reached yet: this site's history stands at ${formatPosition(view.last)}`;
  return new EvertreeError('POSITION_MISMATCH', message, { expected: asked, found: view.last });
}

/** An epoch that another one followed grows no more: what lies behind its end is never reached. */
function endedBefore(view: HistoryView, asked: Position | ExactPosition): EvertreeError | undefined {
  if (asked.epoch >= view.last.epoch) return undefined;
  const next = view.epochs.find(({ number }) => number > asked.epoch);
  if (next === undefined) return undefined;
  const { base } = next;
  const ended =
    base.epoch === asked.epoch
      ? `epoch ${asked.epoch} ended at ${formatPosition(base)}`
      : `epoch ${asked.epoch} is not in it; epoch ${next.number} follows ${formatPosition(base)}`;
  const message = `${formatPosition(asked)} is not in this site's history, and never will be: ${ended}`;
  return new EvertreeError('HISTORY_MISMATCH', message, { expected: asked, found: view.last });
}

function notOurs(asked: Position | ExactPosition, found: ExactPosition): EvertreeError {
  const name = 'epochId' in asked ? formatExactPosition(asked) : formatPosition(asked);
  const message = `${name} is not in this site's history, where revision ${asked.revision} is ${formatPosition(found)}`;
  return new EvertreeError('HISTORY_MISMATCH', message, { expected: asked, found });
}

/** A position that is not in the history may be in one that was cut off and kept. */
function divergedOr(view: HistoryView, asked: Position | ExactPosition, otherwise: EvertreeError): EvertreeError {
  const kept = view.journal.divergences.list();
  const at = kept.findIndex(divergence => holds(divergence, asked));
  if (at < 0) return otherwise;
  const { name, base, replayed } = kept[at]!;
  const again = includesRevision(replayed, asked.revision) ? ', and was replayed since' : '';
  const message =
    `${formatPosition(asked)} is not in the history that stands. It lies in divergence ${at + 1} (${name}), which was cut off after ` +
    `${formatPosition(base)}${again}: read it with "evertree divergences show ${at + 1}"`;
  return new EvertreeError('HISTORY_MISMATCH', message, { expected: asked, found: view.last, divergence: name });
}

function holds({ base, last }: KeptDivergence, asked: Position | ExactPosition): boolean {
  if (asked.revision <= base.revision || asked.revision > last.revision || asked.epoch > last.epoch || asked.epoch < base.epoch)
    return false;
  // A divergence may span restarts, whose ids its name does not tell.
  return !('epochId' in asked) || asked.epoch !== last.epoch || asked.revision !== last.revision || samePosition(asked, last);
}

/** The time of a position that the history went through. */
async function timeOf(view: HistoryView, position: ExactPosition): Promise<number> {
  if (position.revision === 0) return 0;
  const { base } = view.journal.log;
  if (position.revision > base.revision) {
    const indexed = await timeInIndex(view, position.revision);
    if (indexed !== undefined) return indexed;
    const header = await headerHolding(view, position.revision);
    if (header.last.revision === position.revision || header.firstTime === header.lastTime) return header.lastTime;
    const { frame } = await frameHolding(view, position.revision);
    for (const changeSet of readChangeSets(frame, NOTHING, { values: false }))
      if (changeSet?.revision === position.revision) return changeSet.time;
    throw view.moved();
  }
  const time = timeAtBase(view, position);
  if (time === undefined) throw view.compacted(position);
  return time;
}

/** The time of the position at which the frames that are here begin; undefined if it is not known. */
function timeAtBase(view: HistoryView, position: ExactPosition): number | undefined {
  const snapshot = view.journal.snapshots.list.find(listed => samePosition(listed.position, position));
  if (snapshot !== undefined) return snapshot.time;
  return samePosition(position, view.last) ? view.presentTime : undefined;
}

/** The time of a revision that the index has; undefined for others. */
async function timeInIndex(view: HistoryView, revision: number): Promise<number | undefined> {
  const covered = view.covered();
  if (view.index === undefined || covered === undefined || revision <= covered.after || revision > covered.upTo) return undefined;
  try {
    const time = await view.index.timeOf(revision);
    view.assertStands();
    return time;
  } catch (error) {
    if (error instanceof IndexOutdated) return undefined;
    throw error;
  }
}

/** A time before all frames that are here. */
async function momentBeforeFrames(view: HistoryView, time: number): Promise<Moment> {
  const { base } = view.journal.log;
  if (base.revision === 0) {
    return { position: ORIGIN, time: 0, taken: `the empty tree: nothing was committed up to ${formatTime(time)}` };
  }
  const found = timeAtBase(view, base);
  if (found !== undefined && found <= time) {
    const taken = `${formatPosition(base)} of ${formatTime(found)}, the last commit that is not after ${formatTime(time)}`;
    return { position: base, time: found, taken };
  }
  const message = `${formatTime(time)} lies before what this site keeps of the history, which begins after ${formatPosition(base)}`;
  throw new EvertreeError('COMPACTED', `${message}. ${view.elsewhere(base.revision)}`, { time, base });
}

async function lastNotAfter(view: HistoryView, header: FrameHeader, time: number): Promise<{ position: ExactPosition; time: number }> {
  if (header.last.revision > view.last.revision) {
    // It was committed since the question began. Within an epoch what comes before it is not later.
    if (header.last.epochId !== view.last.epochId) throw view.moved();
    return { position: view.last, time: await timeOf(view, view.last) };
  }
  if (header.lastTime <= time) return { position: header.last, time: header.lastTime };
  const { frame } = await frameHolding(view, header.last.revision);
  let found = { revision: header.base.revision + 1, time: header.firstTime };
  for (const changeSet of readChangeSets(frame, NOTHING, { values: false })) {
    if (changeSet === undefined) continue;
    if (changeSet.time > time) break;
    found = changeSet;
  }
  return { position: { ...header.last, revision: found.revision }, time: found.time };
}

/**
 * In words, which epoch was taken, if another reign has commits at this time, too: the clock of the site that followed
 * went behind.
 */
async function overlapOf(view: HistoryView, position: ExactPosition, time: number): Promise<string | undefined> {
  const taken = view.epochs.find(({ number }) => number === position.epoch);
  const before = view.epochs.findLast(({ number }) => number < position.epoch);
  if (taken === undefined || before === undefined || taken.base.revision <= view.journal.log.base.revision) return undefined;
  const last = await view.journal.log.find(taken.base);
  if (last === undefined || last.lastTime <= taken.time || taken.time > time || last.lastTime < taken.time) return undefined;
  if (time > last.lastTime) return undefined;
  return (
    `epoch ${before.number} of ${before.site} has commits up to ${formatTime(last.lastTime)}, too; epoch ${taken.number} of ${taken.site}, ` +
    `which follows it in the history, was taken`
  );
}
