import {
  EvertreeError,
  type ExactPosition,
  formatExactPosition,
  formatPosition,
  type Frame,
  PathSet,
  type Position,
  readChangeSets,
  samePosition,
} from '@evertree/core';
import { formatTime, nearNames, type Moment } from '@evertree/history';
import type { FramesReader } from './frames-reader.ts';
import type { ImageReader } from './image-reader.ts';
import { type FramesEntry, isOneEpoch, nearestInWords, nearestStates, type Restorable } from './line-history.ts';
import { lastMark, tablesAt } from './line-tables.ts';

/** A moment of an archived line, and the states it is one of. */
export interface ArchivedMoment extends Moment {
  readonly state: Restorable;
  /** Digest of the tree there; undefined inside a frame. */
  readonly digest: string | undefined;
}

/** Of change sets read with it only revision and time are left. */
const NOTHING = new PathSet();

/** Finds the moments that positions, times and marks name among the states of one line. */
export class MomentFinder {
  readonly #states: readonly Restorable[];
  readonly #frames: FramesReader;
  readonly #images: ImageReader;

  constructor(states: readonly Restorable[], frames: FramesReader, images: ImageReader) {
    this.#states = states;
    this.#frames = frames;
    this.#images = images;
  }

  /** The newest state. @throws EvertreeError NOT_FOUND if there is none */
  newest(): ArchivedMoment {
    const state = this.#states.at(-1);
    if (state === undefined) throw new EvertreeError('NOT_FOUND', 'this line has no state that can be restored');
    const { to: position, toTime: time, digest } = state;
    return { state, position, time, digest, taken: `${formatPosition(position)} of ${formatTime(time)}, the newest state in the archive` };
  }

  /** @throws EvertreeError COMPACTED, POSITION_MISMATCH, HISTORY_MISMATCH, and what reading throws */
  async ofPosition(asked: Position | ExactPosition): Promise<ArchivedMoment> {
    const state = this.#stateOf(asked.revision);
    if (state === undefined) throw this.#outside(asked);
    const moment = await this.#at(state, asked.revision);
    const isIt = 'epochId' in asked ? samePosition(asked, moment.position) : asked.epoch === moment.position.epoch;
    if (isIt) return { ...moment, taken: `${formatPosition(moment.position)} as asked` };
    const name = 'epochId' in asked ? formatExactPosition(asked) : formatPosition(asked);
    const message = `${name} is not in this line of the archive, where revision ${asked.revision} is ${formatPosition(moment.position)}`;
    throw new EvertreeError('HISTORY_MISMATCH', message, { expected: asked, found: moment.position });
  }

  /**
   * The last commit that is not after a time.
   * @throws EvertreeError COMPACTED before all states, and in a gap, where that commit may be one that is missing
   */
  async ofTime(time: number): Promise<ArchivedMoment> {
    for (const [index, state] of [...this.#states.entries()].toReversed()) {
      const found = await this.#lastNotAfter(state, time);
      if (found === undefined) continue;
      const next = this.#states[index + 1];
      if (next !== undefined && samePosition(found.position, state.to)) throw this.#inGap(time, state, next);
      const taken = `${formatPosition(found.position)} of ${formatTime(found.time)}, the last commit that is not after ${formatTime(time)}`;
      const overlap = overlapOf(state, found, time);
      return { ...found, taken: overlap === undefined ? taken : `${taken}; ${overlap}` };
    }
    const nearest = nearestStates(this.#states, 0);
    const message = `${formatTime(time)} lies before all that this line of the archive holds: ${nearestInWords(nearest)}`;
    throw new EvertreeError('COMPACTED', message, { time, nearest });
  }

  /** @throws EvertreeError NOT_FOUND with names that are near, and what `ofPosition` throws */
  async ofMark(name: string): Promise<ArchivedMoment> {
    const state = this.newest().state;
    const last = await lastMark(state, name, this.#frames);
    const its = last && this.#stateOf(last.revision);
    if (last !== undefined && its !== undefined) return asMarked(name, last.markedAt, await this.#at(its, last.revision));
    const { marks } = await tablesAt(state, this.#frames, this.#images);
    const mark = marks.find(each => each.name === name);
    if (mark === undefined) {
      const near = nearNames(
        name,
        marks.map(each => each.name),
      );
      const hint = near.length === 0 ? '' : `; is it ${near.map(each => JSON.stringify(each)).join(' or ')}?`;
      throw new EvertreeError(
        'NOT_FOUND',
        `there is no mark ${JSON.stringify(name)} in this line of the archive${hint === '' ? '; "evertree backups" lists the marks' : hint}`,
        {
          mark: name,
          near,
        },
      );
    }
    const { position, markedAt } = mark;
    return asMarked(name, markedAt, await this.ofPosition(position));
  }

  #stateOf(revision: number): Restorable | undefined {
    return this.#states.find(({ from, to }) => Math.max(1, from.revision) <= revision && revision <= to.revision);
  }

  /** The moment of a revision that some states have. */
  async #at(state: Restorable, revision: number): Promise<Omit<ArchivedMoment, 'taken'>> {
    const image = state.images.find(({ position }) => position.revision === revision);
    if (image !== undefined) return { state, position: image.position, time: image.time, digest: image.digest };
    const entry = state.stretches.find(({ last }) => last.revision >= revision)!;
    if (entry.last.revision === revision) return atEnd(state, entry);
    const frame = (await this.#frames.all(entry, revision)).find(({ header }) => header.last.revision >= revision)!;
    return inFrame(state, frame, revision);
  }

  async #lastNotAfter(state: Restorable, time: number): Promise<Omit<ArchivedMoment, 'taken'> | undefined> {
    const first = state.from.revision;
    for (const entry of state.stretches.toReversed()) {
      if (entry.lastTime <= time) return atEnd(state, entry);
      // Within one epoch times never go back.
      if (entry.firstTime > time && isOneEpoch(entry.base, entry.last)) continue;
      const frame = (await this.#frames.all(entry)).findLast(({ header }) => header.firstTime <= time && header.last.revision > first);
      if (frame === undefined) continue;
      const revision = lastRevision(frame, time);
      if (revision > first) return inFrame(state, frame, revision);
    }
    const image = state.images[0];
    if (image === undefined || image.position.revision !== first || image.time > time) return undefined;
    return { state, position: image.position, time: image.time, digest: image.digest };
  }

  #outside(asked: Position | ExactPosition): EvertreeError {
    const nearest = nearestStates(this.#states, asked.revision);
    const end = this.#states.at(-1)?.to;
    const isLater = end !== undefined && asked.revision > end.revision;
    const lack = isLater ? 'is not in this line of the archive yet' : "can't be restored from this line of the archive";
    const details = { expected: asked, found: end, nearest };
    return new EvertreeError(
      isLater ? 'POSITION_MISMATCH' : 'COMPACTED',
      `${formatPosition(asked)} ${lack}: ${nearestInWords(nearest)}`,
      details,
    );
  }

  #inGap(time: number, state: Restorable, next: Restorable): EvertreeError {
    const gap = `${formatPosition(state.to)} and ${formatPosition(next.from)}`;
    const message =
      `the last commit that is not after ${formatTime(time)} may be one that the archive lacks, between ${gap}: ` +
      `name ${formatPosition(state.to)} of ${formatTime(state.toTime)} or ${formatPosition(next.from)} of ${formatTime(next.fromTime)} instead`;
    return new EvertreeError('COMPACTED', message, { time, nearest: { before: state.to, after: next.from } });
  }
}

function asMarked(name: string, markedAt: ExactPosition, moment: Omit<ArchivedMoment, 'taken'>): ArchivedMoment {
  const { position } = moment;
  return {
    ...moment,
    taken: `${formatPosition(position)}, which the mark ${JSON.stringify(name)} names since ${formatPosition(markedAt)}`,
  };
}

function atEnd(state: Restorable, { last, lastTime, digest }: FramesEntry): Omit<ArchivedMoment, 'taken'> {
  return { state, position: last, time: lastTime, digest };
}

function inFrame(state: Restorable, frame: Frame, revision: number): Omit<ArchivedMoment, 'taken'> {
  const { last, lastTime, digest } = frame.header;
  if (last.revision === revision) return { state, position: last, time: lastTime, digest };
  let time = frame.header.firstTime;
  for (const changeSet of readChangeSets(frame, NOTHING, { values: false })) {
    if (changeSet === undefined || changeSet.revision > revision) continue;
    ({ time } = changeSet);
  }
  return { state, position: { ...last, revision }, time, digest: undefined };
}

/** The last revision of a frame that is not after a time; that of its base if there is none. */
function lastRevision(frame: Frame, time: number): number {
  const { base, last, lastTime } = frame.header;
  if (lastTime <= time) return last.revision;
  let found = base.revision;
  for (const changeSet of readChangeSets(frame, NOTHING, { values: false })) {
    if (changeSet !== undefined && changeSet.time <= time) found = changeSet.revision;
  }
  return found;
}

/** In words, which epoch was taken, where an earlier one has commits at that time, too: a clock went back. */
function overlapOf(state: Restorable, { position, time: found }: Omit<ArchivedMoment, 'taken'>, time: number): string | undefined {
  const before = state.stretches.findLast(({ last }) => last.epoch < position.epoch);
  if (before === undefined || before.lastTime < found || before.lastTime < time) return undefined;
  return `epoch ${before.last.epoch} has commits up to ${formatTime(before.lastTime)}, too; epoch ${position.epoch}, which follows it in the history, was taken`;
}
