import { EvertreeError, compareEpochs, covers, formatPosition, highestEpoch, samePosition } from '@evertree/core';
import type { CloseReason, Epoch, ExactPosition, FarEnd, FrameHeader, SnapshotHeader } from '@evertree/core';

/** Where this secondary stands. */
export interface Place {
  /** Null before its first frame. */
  readonly stream: string | null;
  readonly position: ExactPosition;
  readonly epochs: readonly Epoch[];
}

/**
 * What this secondary knows of the place where a frame of its past ends: the exact position there and the digest; `absent` when it
 * knows that none of its frames ends there; `unknown` when that is too long ago.
 */
export type Memory = { readonly position: ExactPosition; readonly digest: string } | 'absent' | 'unknown';

export type Verdict =
  /** It follows this position exactly. */
  | { readonly kind: 'next' }
  /** It is part of this history: nothing to do. */
  | { readonly kind: 'duplicate' }
  /** Frames are missing before it. */
  | { readonly kind: 'gap' }
  | { readonly kind: 'refuse'; readonly reason: CloseReason; readonly error: EvertreeError };

/** Whether the frame ends at or before this place, so that `verdictOn` needs to know what is remembered of its end. */
export function isPast(frame: FrameHeader, place: Place): boolean {
  return frame.last.revision <= place.position.revision;
}

/** Law 1: what does not follow this position exactly is a duplicate, a gap, or another history. */
export function verdictOn(frame: FrameHeader, place: Place, memory: Memory, farEnd: FarEnd): Verdict {
  if (place.stream !== null && frame.stream !== place.stream) return otherStream(frame.stream, place.stream);
  if (samePosition(frame.base, place.position)) return { kind: 'next' };
  if (isPast(frame, place)) return isRemembered(frame, place, memory) ? { kind: 'duplicate' } : otherHistory(frame, place, farEnd);
  const isOld = compareEpochs({ number: frame.epoch, id: frame.epochId }, highestEpoch(place.epochs, place.position)) < 0;
  return frame.base.revision > place.position.revision && !isOld ? { kind: 'gap' } : otherHistory(frame, place, farEnd);
}

/** A snapshot brings a secondary forward in its own stream; it takes nothing back that was acknowledged. */
export function verdictOnSnapshot(header: SnapshotHeader, place: Place): Verdict {
  if (place.stream !== null && header.stream !== place.stream) return otherStream(header.stream, place.stream);
  const theirs = highestEpoch(header.epochs, header.position);
  const ours = highestEpoch(place.epochs, place.position);
  if (compareEpochs(theirs, ours) >= 0 && header.position.revision >= place.position.revision) return { kind: 'next' };
  return refusal(
    'history-mismatch',
    'HISTORY_MISMATCH',
    `a snapshot of ${formatPosition(header.position)} (epoch ${theirs.id}) would take this secondary back from ` +
      `${formatPosition(place.position)} (epoch ${ours.id}); it keeps what it has acknowledged`,
    { ours: place.position, theirs: header.position },
  );
}

function isRemembered(frame: FrameHeader, place: Place, memory: Memory): boolean {
  if (memory === 'absent') return false;
  if (memory === 'unknown') return covers({ epochs: place.epochs, last: place.position }, frame.last);
  return samePosition(memory.position, frame.last) && memory.digest === frame.digest;
}

function otherStream(found: string, expected: string): Verdict {
  return refusal(
    'stream-mismatch',
    'STREAM_MISMATCH',
    `this secondary holds the stream ${expected}, and what came belongs to the stream ${found}: check the addresses and the data directories`,
    { expected, found },
  );
}

function otherHistory(frame: FrameHeader, place: Place, farEnd: FarEnd): Verdict {
  const { base, last } = frame;
  const inLog = farEnd.kind === 'log' ? `. Two primaries have written to the ${farEnd.name}: stop the wrong one, and ${farEnd.remedy}` : '';
  return refusal(
    'history-mismatch',
    'HISTORY_MISMATCH',
    `a frame from ${formatPosition(base)} (epoch ${base.epochId}) to ${formatPosition(last)} (epoch ${last.epochId}) is not of the history of this ` +
      `secondary, which stands at ${formatPosition(place.position)} (epoch ${place.position.epochId}): start the site that is wrong from an empty ` +
      `directory, or from a copy of the right one${inLog}`,
    { ours: place.position, base, last },
  );
}

function refusal(reason: CloseReason, code: EvertreeError['code'], message: string, details: EvertreeError['details']): Verdict {
  return { kind: 'refuse', reason, error: new EvertreeError(code, message, details) };
}
