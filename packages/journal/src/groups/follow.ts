import type { ExactPosition, Frame } from '@evertree/core';
import { EvertreeError, formatPosition, samePosition } from '@evertree/core';
import { TRAILER_LIMIT_BYTES } from '../segments/record-reader.ts';

/**
 * Checks that a frame may be appended behind `last`.
 * @param stream that of the journal; undefined while it holds nothing
 * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH, TOO_LARGE
 */
export function checkFollows(frame: Frame, trailer: Uint8Array | undefined, last: ExactPosition, stream: string | undefined): void {
  const { header } = frame;
  if (stream !== undefined && header.stream !== stream) {
    throw new EvertreeError(
      'STREAM_MISMATCH',
      `a frame of the stream ${header.stream} can't follow in the journal of the stream ${stream}`,
      {
        expected: stream,
        found: header.stream,
      },
    );
  }
  if (!samePosition(header.base, last)) {
    throw new EvertreeError(
      'HISTORY_MISMATCH',
      `a frame that follows ${describe(header.base)} can't be appended behind ${describe(last)}`,
      { expected: last, found: header.base },
    );
  }
  if (trailer !== undefined && trailer.length > TRAILER_LIMIT_BYTES) {
    throw new EvertreeError('TOO_LARGE', `a trailer has ${trailer.length} bytes; the limit is ${TRAILER_LIMIT_BYTES}`, {
      length: trailer.length,
      limit: TRAILER_LIMIT_BYTES,
    });
  }
}

export function describe(position: ExactPosition): string {
  return `${formatPosition(position)} (epoch id ${position.epochId})`;
}
