import { compareEpochs, covers, forkOf, formatPosition, highestEpoch, refusal, samePosition } from '@evertree/core';
import type { Boundary, EvertreeError, ExactPosition, FarEnd, FrameHeader, Lineage, Refusal, SnapshotHeader } from '@evertree/core';

/**
 * What this secondary knows of a revision of its past: the exact position of the frame that ends there and the digest;
 * `absent` when it knows that none of its frames ends there; `unknown` when that is too long ago.
 */
export type Memory = Boundary | 'absent' | 'unknown';

type Refused = { readonly kind: 'refuse' } & Refusal;

export type Verdict =
  /** It follows this position exactly. */
  | { readonly kind: 'next' }
  /** It is part of this history: nothing to do. */
  | { readonly kind: 'duplicate' }
  /** Frames are missing before it. */
  | { readonly kind: 'gap' }
  /** It begins an epoch that outranks ours, at this position of our history: what we hold after it goes. */
  | { readonly kind: 'rewind'; readonly fork: ExactPosition }
  | Refused;

export type SnapshotVerdict =
  /** It goes on from this history: nothing of it is lost. */
  | { readonly kind: 'next' }
  /**
   * It belongs to a history that outranks this one, and that parted from it at `fork`. What this secondary holds behind
   * the fork has to be kept before the snapshot takes its place.
   */
  | { readonly kind: 'rewind'; readonly fork: ExactPosition }
  | Refused;

/**
 * Whether the frame ends at or before where this history stands, so that `verdictOn` needs to know what is remembered
 * of its end.
 */
export function isPast(frame: FrameHeader, ours: Lineage): boolean {
  return frame.last.revision <= ours.last.revision;
}

/** Law 1: what does not follow this position exactly is a duplicate, a gap, or another history. */
export function verdictOn(frame: FrameHeader, ours: Lineage, memory: Memory, farEnd: FarEnd): Verdict {
  if (ours.stream !== null && frame.stream !== ours.stream) return otherStream(frame.stream, ours.stream);
  if (samePosition(frame.base, ours.last)) return { kind: 'next' };
  if (beginsAbove(frame, ours) && covers(ours, frame.base)) return { kind: 'rewind', fork: frame.base };
  if (isPast(frame, ours)) return isRemembered(frame, ours, memory) ? { kind: 'duplicate' } : otherHistory(frame, ours, farEnd);
  return frame.base.revision > ours.last.revision && !isOver(frame, ours) ? { kind: 'gap' } : otherHistory(frame, ours, farEnd);
}

/** Whether the frame begins an epoch above all of ours. A restart keeps its number, and outranks nothing. */
function beginsAbove({ beginsEpoch, base, epoch: number, epochId: id }: FrameHeader, { epochs, last }: Lineage): boolean {
  return beginsEpoch && number > base.epoch && compareEpochs({ number, id }, highestEpoch(epochs, last)) > 0;
}

/**
 * Whether the frame's epoch ended in this history already. An id that is not known, of the number that is the highest,
 * may be that of a restart: ids give no order there.
 */
function isOver({ epoch, epochId }: FrameHeader, { epochs, last }: Lineage): boolean {
  if (epoch !== last.epoch) return epoch < last.epoch;
  return epochId !== last.epochId && epochs.some(({ number, id }) => number === epoch && id === epochId);
}

/**
 * A snapshot brings a secondary forward in its own history, or over to a history that outranks it. It never takes back
 * what was acknowledged within one epoch, nor to a history that another one has superseded.
 */
export function verdictOnSnapshot(header: SnapshotHeader, ours: Lineage): SnapshotVerdict {
  if (ours.stream !== null && header.stream !== ours.stream) return otherStream(header.stream, ours.stream);
  const theirs = { epochs: header.epochs, last: header.position };
  if (covers(theirs, ours.last)) return { kind: 'next' };
  const theirEpoch = highestEpoch(header.epochs, header.position);
  const ourEpoch = highestEpoch(ours.epochs, ours.last);
  if (compareEpochs(theirEpoch, ourEpoch) > 0) return { kind: 'rewind', fork: forkOf(ours, theirs) };
  const message =
    `a snapshot of ${formatPosition(header.position)} (epoch ${theirEpoch.id}) would take this secondary back from ` +
    `${formatPosition(ours.last)} (epoch ${ourEpoch.id}); it keeps what it has acknowledged`;
  return refuse('history-mismatch', 'HISTORY_MISMATCH', message, { ours: ours.last, theirs: header.position });
}

function isRemembered(frame: FrameHeader, ours: Lineage, memory: Memory): boolean {
  if (memory === 'absent') return false;
  if (memory === 'unknown') return covers(ours, frame.last);
  return samePosition(memory.position, frame.last) && memory.digest === frame.digest;
}

function otherStream(found: string, expected: string): Refused {
  const message =
    `this secondary holds the stream ${expected}, and what came belongs to the stream ${found}: ` +
    'check the addresses and the data directories';
  return refuse('stream-mismatch', 'STREAM_MISMATCH', message, { expected, found });
}

function otherHistory(frame: FrameHeader, ours: Lineage, farEnd: FarEnd): Refused {
  const { base, last } = frame;
  const inLog = farEnd.kind === 'log' ? `. Two primaries have written to the ${farEnd.name}: stop the wrong one, and ${farEnd.remedy}` : '';
  const message =
    `a frame from ${formatPosition(base)} (epoch ${base.epochId}) to ${formatPosition(last)} (epoch ${last.epochId}) is not of the history of this ` +
    `secondary, which stands at ${formatPosition(ours.last)} (epoch ${ours.last.epochId}): start the site that is wrong from an empty ` +
    `directory, or from a copy of the right one${inLog}`;
  return refuse('history-mismatch', 'HISTORY_MISMATCH', message, { ours: ours.last, base, last });
}

function refuse(reason: Refusal['reason'], code: EvertreeError['code'], message: string, details: EvertreeError['details']): Refused {
  return { kind: 'refuse', ...refusal(reason, code, message, details) };
}
