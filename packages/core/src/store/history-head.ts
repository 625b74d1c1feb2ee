import { EvertreeError } from '../errors.ts';
import { NO_CHAIN, type Frame } from '../frames/frame.ts';
import type { FrameNote } from '../frames/body.ts';
import { decodeFrame } from '../frames/collect-sink.ts';
import { assertFollows, assertSucceeds, withEpoch, type Lineage } from '../lineage.ts';
import { marksAfter, type Mark } from '../marks.ts';
import type { SnapshotHeader } from '../seams/journal.ts';
import { ORIGIN, type Epoch, type Handover } from '../position.ts';

/** A history up to its last frame, with what the next frame needs. */
export interface HistoryHead extends Lineage {
  /** SHA-256 of the last frame, 64 hex digits; or that frame itself, until its hash is asked for. */
  readonly chain: string | Frame;
  /** The names that its states have, in the order in which they were given. */
  readonly marks: readonly Mark[];
  /** Commit time of the last change set, milliseconds since 1970; 0 before the first. */
  readonly time: number;
}

/** Before the first commit. */
export const EMPTY_HEAD: HistoryHead = Object.freeze({ stream: null, last: ORIGIN, epochs: [], marks: [], chain: NO_CHAIN, time: 0 });

/**
 * The head after a frame.
 * @param note of a frame that begins or ends its epoch, or is a mark frame
 * @throws EvertreeError FORMAT_INVALID for a mark frame that names no state of the history
 */
export function headAfter(head: HistoryHead, frame: Frame, note: FrameNote | undefined): HistoryHead {
  const { stream, last, lastTime: time, isMark } = frame.header;
  const epochs = note === undefined ? head.epochs : epochsAfter(head.epochs, frame, note);
  return { stream, last, epochs, marks: isMark ? marksAfterFrame(head, frame) : head.marks, chain: frame, time };
}

/**
 * The marks after a mark frame.
 * @throws EvertreeError FORMAT_INVALID if it changes the tree, or names no state of the history
 */
export function marksAfterFrame({ marks, epochs }: Pick<HistoryHead, 'marks' | 'epochs'>, frame: Frame): readonly Mark[] {
  const { last } = frame.header;
  const { note, changeSets } = decodeFrame(frame);
  const [changeSet] = changeSets;
  if (note?.mark === undefined || changeSet === undefined || changeSet.operations.length > 0) {
    throw new EvertreeError('FORMAT_INVALID', 'a mark frame changes the tree, or sets no mark');
  }
  const { time, author, message } = changeSet;
  return marksAfter(marks, { epochs, last }, note.mark, { position: last, time, author, message });
}

function epochsAfter(epochs: readonly Epoch[], { header }: Frame, { epoch, handover: end }: FrameNote): readonly Epoch[] {
  const { epoch: number, epochId: id, base, firstTime: time } = header;
  if (epoch !== undefined) return withEpoch(epochs, { number, id, site: epoch.site, base, reason: epoch.reason, time });
  return end === undefined ? epochs : ended(epochs, end);
}

/** A table whose last entry a handover has ended. */
export function ended(epochs: readonly Epoch[], end: Handover): readonly Epoch[] {
  const last = epochs.at(-1);
  return last === undefined ? epochs : [...epochs.slice(0, -1), { ...last, end }];
}

/**
 * Checks that a frame continues a history: by its base, its epoch and its mark.
 * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH, FORMAT_INVALID
 */
export function assertContinues(history: Lineage & Pick<HistoryHead, 'marks'>, frame: Frame): void {
  assertFollows(frame.header, history);
  const { beginsEpoch, isMark, epoch } = frame.header;
  assertSucceeds(epoch, history, beginsEpoch ? decodeFrame(frame).note?.epoch?.site : undefined);
  if (isMark) marksAfterFrame(history, frame);
}

/** The head of a history that a snapshot begins. */
export function headAt({ stream, position, epochs, marks, chain, time }: SnapshotHeader): HistoryHead {
  return { stream, last: position, epochs, marks, chain, time };
}
