import { type ExactPosition, type Frame, type FrameHeader, isEvertreeError, samePosition, Turn } from '@evertree/core';
import type { HistoryView } from './history-view.ts';

/** Revisions that are first read at once on the way back, and the most. */
const FIRST_STRETCH = 1_024;
const LONGEST_STRETCH = 65_536;

/** Frames that are held on the way back, in bytes: one more may come in. */
const HELD_BYTES = 8 * 1024 * 1024;

/**
 * The frame that holds a revision after the log's base and up to its stable end.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH
 */
export async function frameHolding(view: HistoryView, revision: number): Promise<{ readonly frame: Frame }> {
  const reader = view.journal.log.read(await boundaryBefore(view, revision));
  try {
    const stored = await reader.next();
    if (stored === undefined || stored.frame.header.last.epochId !== view.exact(revision).epochId) throw view.moved();
    return stored;
  } finally {
    await reader.close();
  }
}

/**
 * The base of the frame that holds a revision.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH
 */
export async function boundaryBefore(view: HistoryView, revision: number): Promise<ExactPosition> {
  return (await headerHolding(view, revision)).base;
}

/**
 * The header of the frame that holds a revision.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH
 */
export async function headerHolding(view: HistoryView, revision: number): Promise<FrameHeader> {
  const position = view.exact(revision);
  const header = await view.journal.log.find(position, { within: true });
  if (header !== undefined) return header;
  throw revision <= view.journal.log.base.revision ? view.compacted(position) : view.moved();
}

/**
 * The frames of a stretch of the history, oldest first: from the one that holds the revision after `after`, to the one
 * that holds `upTo`.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH
 */
export async function* framesForward(view: HistoryView, after: number, upTo: number): AsyncGenerator<Frame, void, undefined> {
  if (after >= upTo) return;
  yield* framesBetween(view, await boundaryBefore(view, after + 1), view.exact(upTo));
}

/** A part of the history, to be read backwards: the revisions in (after, upTo]. */
export interface BackwardRange {
  readonly after: number;
  readonly upTo: number;
  /** Nobody asked where it begins: it ends earlier where retention drops some of it meanwhile. */
  readonly isOpen: boolean;
}

/**
 * The same frames, newest first. The log reads forward only: stretch after stretch is read from further back.
 * @throws EvertreeError COMPACTED unless the range is open, HISTORY_MISMATCH
 */
export async function* framesBackward(view: HistoryView, { after, upTo, isOpen }: BackwardRange): AsyncGenerator<Frame, void, undefined> {
  const first = () => (isOpen ? Math.max(after, view.journal.log.base.revision) : after);
  let end = view.exact(upTo);
  let stretch = FIRST_STRETCH;
  while (end.revision > first()) {
    const begin = Math.max(first(), end.revision - stretch);
    const { held, bytes } = await heldFrames(view, begin, end, isOpen);
    // What was not held has been read in vain.
    stretch = bytes > HELD_BYTES ? Math.max(1, Math.ceil(stretch / 2)) : Math.min(LONGEST_STRETCH, stretch * 2);
    for (let frame = held.pop(); frame !== undefined; frame = held.pop()) {
      end = frame.header.base;
      yield frame;
    }
  }
}

/** The newest frames of a stretch, as many as are held at once, and the bytes of all of them. */
async function heldFrames(
  view: HistoryView,
  begin: number,
  end: ExactPosition,
  isOpen: boolean,
): Promise<{ held: Frame[]; bytes: number }> {
  const held: Frame[] = [];
  let bytes = 0;
  let heldBytes = 0;
  try {
    for await (const frame of framesBetween(view, await boundaryBefore(view, begin + 1), end)) {
      held.push(frame);
      bytes += frame.bytes.length;
      heldBytes += frame.bytes.length;
      while (heldBytes > HELD_BYTES && held.length > 1) heldBytes -= held.shift()!.bytes.length;
    }
  } catch (error) {
    if (!isOpen || !isEvertreeError(error, 'COMPACTED')) throw error;
    return { held: [], bytes: 0 };
  }
  return { held, bytes };
}

/**
 * @param start a frame's end
 * @param end where the last frame ends, or in the middle of it
 */
async function* framesBetween(view: HistoryView, start: ExactPosition, end: ExactPosition): AsyncGenerator<Frame, void, undefined> {
  const turn = new Turn(view.clock);
  const reader = view.journal.log.read(start);
  let at = start;
  try {
    while (at.revision < end.revision) {
      const stored = await reader.next();
      if (stored === undefined) throw view.moved();
      at = stored.frame.header.last;
      if (at.revision >= end.revision && !samePosition({ ...at, revision: end.revision }, end)) throw view.moved();
      yield stored.frame;
      await turn.breathe();
    }
  } finally {
    await reader.close();
  }
}
