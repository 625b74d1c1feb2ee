import {
  decodeFrame,
  type ExactPosition,
  type Frame,
  type MarkNote,
  type Operation,
  type Path,
  type PathSet,
  readChangeSets,
  Turn,
  type Value,
} from '@evertree/core';
import type { Change, ChangedMark, ChangeOperation } from './answers.ts';
import { IndexOutdated } from './change-index.ts';
import { type BackwardRange, framesBackward } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { changesInIndex } from './indexed-changes.ts';
import type { ChangeFilter, PathChange } from './path-change.ts';
import { insideOf, setOf } from './paths.ts';
import { STEP_ITEMS } from './step.ts';

/** How often the index is asked again after it has become smaller. */
const MOST_TRIES = 3;

/**
 * Commits that concern a path, newest first, in (after, upTo]: by the index where that has them. All commits concern the
 * root, so these are read from the frames. Ends early when it is told to.
 * @throws EvertreeError COMPACTED unless the range is open, HISTORY_MISMATCH
 */
export async function* changesBackward(
  view: HistoryView,
  filter: ChangeFilter,
  { after, upTo, isOpen }: BackwardRange,
): AsyncGenerator<PathChange, void, undefined> {
  let end = upTo;
  for (let tries = 0; tries < MOST_TRIES && filter.path.length > 0; tries++) {
    const covered = view.covered();
    if (view.index === undefined || covered === undefined || end <= covered.after || covered.upTo <= after) break;
    if (end > covered.upTo) yield* changesInFrames(view, filter, { after: covered.upTo, upTo: end, isOpen });
    end = Math.min(end, covered.upTo);
    // Retention has dropped what the index covered.
    if (isOpen && end <= view.journal.log.base.revision) return;
    const begin = Math.max(after, covered.after);
    try {
      for await (const change of changesInIndex(view, view.index, filter, { after: begin, upTo: end })) {
        end = change.position.revision - 1;
        yield change;
      }
      if (filter.signal?.aborted === true) return;
      end = Math.min(end, begin);
      break;
    } catch (error) {
      if (!(error instanceof IndexOutdated)) throw error;
    }
  }
  if (end > after) yield* changesInFrames(view, filter, { after, upTo: end, isOpen });
}

async function* changesInFrames(
  view: HistoryView,
  filter: ChangeFilter,
  range: BackwardRange,
): AsyncGenerator<PathChange, void, undefined> {
  const set = setOf(filter.path);
  for await (const frame of framesBackward(view, range)) {
    if (filter.signal?.aborted === true) return;
    const found: PathChange[] = [];
    for await (const change of changesIn(view, frame, set, filter)) {
      const { revision } = change.position;
      if (revision > range.after && revision <= range.upTo) found.push(change);
    }
    yield* found.toReversed();
  }
}

/** The commits of a frame that concern a path, oldest first. */
export async function* changesIn(
  view: HistoryView,
  frame: Frame,
  set: PathSet,
  { path, author, values }: ChangeFilter,
): AsyncGenerator<PathChange, void, undefined> {
  const turn = new Turn(view.clock);
  const { header } = frame;
  if (header.beginsEpoch || header.endsEpoch || header.isMark) {
    const change = path.length > 0 ? undefined : notedChange(view, frame);
    if (change !== undefined && (author === undefined || change.changeSet.author === author)) yield change;
    return;
  }
  for (const changeSet of readChangeSets(frame, set, { values })) {
    if (changeSet === undefined) await turn.breathe();
    else if (changeSet.operations.length > 0 && (author === undefined || changeSet.author === author)) {
      yield { position: { ...header.last, revision: changeSet.revision }, changeSet, notes: {} };
    }
  }
}

/** The commit of a frame that changes nothing in the tree: it begins or ends an epoch, or it is a mark. */
function notedChange(view: HistoryView, frame: Frame): PathChange {
  const { note, changeSets } = decodeFrame(frame);
  const { last } = frame.header;
  const notes = {
    ...(note?.epoch === undefined ? {} : { begins: note.epoch }),
    ...(note?.handover === undefined ? {} : { ends: note.handover }),
    ...(note?.mark === undefined ? {} : { mark: markOf(view, last, note.mark) }),
  };
  return { position: last, changeSet: changeSets[0]!, notes };
}

function markOf(view: HistoryView, { revision }: ExactPosition, { name, back, removed }: MarkNote): ChangedMark {
  return { name, removed, position: view.exactSince(revision - back) };
}

/** What was there before an operation: in the order of the operations of a change. */
export type Before = readonly (Value | undefined)[];

/** The answer for a commit. @param before undefined if no values were asked for */
export async function toChange(
  { position, changeSet, notes }: PathChange,
  path: Path,
  before: Before | undefined,
  turn: Turn,
): Promise<Change> {
  const { time, author, message, operations } = changeSet;
  const shown: ChangeOperation[] = [];
  for (const operation of operations) {
    shown.push(toOperation(operation, path, before === undefined ? undefined : { value: before[shown.length] }));
    if (shown.length % STEP_ITEMS === 0) await turn.breathe();
  }
  return { position, time, author, message, operations: shown, ...notes };
}

function toOperation(operation: Operation, asked: Path, before: { readonly value: Value | undefined } | undefined): ChangeOperation {
  const { path, type: kind } = operation;
  const above = path.length < asked.length;
  if (before === undefined) return { path, kind, above };
  return { path, kind, above, before: before.value, after: valueAfter(operation, asked) };
}

/** What an operation leaves at its path, or at the path that was asked for if that is below it. */
function valueAfter(operation: Operation, asked: Path): Value | undefined {
  if (operation.type === 'delete') return undefined;
  return insideOf(operation.value, asked.slice(operation.path.length));
}
