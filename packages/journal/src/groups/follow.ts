import type { ExactPosition, Frame } from '@evertree/core';
import { EvertreeError, assertFollows } from '@evertree/core';
import { TRAILER_LIMIT_BYTES } from '../segments/record-reader.ts';

/**
 * Checks that a frame may be appended behind `last`.
 * @param stream that of the journal; undefined while it holds nothing
 * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH, TOO_LARGE
 */
export function checkFollows(frame: Frame, trailer: Uint8Array | undefined, last: ExactPosition, stream: string | undefined): void {
  assertFollows(frame.header, { stream: stream ?? null, last });
  if (trailer === undefined || trailer.length <= TRAILER_LIMIT_BYTES) return;
  throw new EvertreeError('TOO_LARGE', `a trailer has ${trailer.length} bytes; the limit is ${TRAILER_LIMIT_BYTES}`, {
    length: trailer.length,
    limit: TRAILER_LIMIT_BYTES,
  });
}
