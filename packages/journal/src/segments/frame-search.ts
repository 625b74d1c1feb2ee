import type { Disk, ExactPosition, Frame, FrameHeader } from '@evertree/core';
import { samePosition } from '@evertree/core';
import { isMissing } from '../groups/failure.ts';
import { recordsFrom } from './read-cursor.ts';
import type { StoredRecord } from './record-reader.ts';
import { SEGMENT_HEADER_BYTES } from './segment-format.ts';
import type { SegmentList } from './segment-list.ts';
import type { Segment } from './segment.ts';
import { loadIndex } from './segment.ts';

/** What `FrameLog.find` looks for: the frame that ends at a position, or with `within` the one that holds it. */
export interface FindOptions {
  readonly within?: boolean;
}

/** Whether a frame that holds the revision of `position` is the one to find. */
export function isFound({ last }: FrameHeader, position: ExactPosition, { within = false }: FindOptions = {}): boolean {
  return samePosition(last, within ? { ...position, revision: last.revision } : position);
}

/** As `FrameLog.find`. */
export async function findFrame(
  disk: Disk,
  history: SegmentList,
  position: ExactPosition,
  options?: FindOptions,
): Promise<FrameHeader | undefined> {
  const { base, stable, tail } = history;
  if (position.revision <= base.revision || position.revision > stable.revision) return undefined;
  const recent = tail.holding(position.revision)?.frame;
  const frame = recent ?? (await searchStored(disk, history, position.revision));
  return frame !== undefined && isFound(frame.header, position, options) ? frame.header : undefined;
}

/** As `FrameLog.findByTime`: segment by segment, the newest first. */
export async function findByTime(disk: Disk, history: SegmentList, time: number): Promise<FrameHeader | undefined> {
  for (const segment of history.segments.toReversed()) {
    try {
      const found = await lastNotAfter(disk, segment, time);
      if (found !== undefined) return found;
    } catch (error) {
      // Retention removed the file in the meantime, and all older ones.
      if (isMissing(error) && !history.segments.includes(segment)) return undefined;
      throw error;
    }
  }
  return undefined;
}

async function lastNotAfter(disk: Disk, segment: Segment, time: number): Promise<FrameHeader | undefined> {
  const index = await loadIndex(disk, segment);
  // Within one epoch times never go back, so that the index can be searched. A segment in which an epoch begins is read
  // whole.
  const isOneEpoch = segment.header.base.epochId === segment.last.epochId;
  // An index that could not be read is empty.
  const offset = isOneEpoch && index.entries.length > 0 ? index.seekTime(time) : SEGMENT_HEADER_BYTES;
  if (offset === undefined) return undefined;
  let found: FrameHeader | undefined;
  for await (const { frame } of recordsFrom(disk, segment, offset)) {
    if (frame.header.firstTime <= time) found = frame.header;
    else if (isOneEpoch) break;
  }
  return found;
}

async function searchStored(disk: Disk, history: SegmentList, revision: number): Promise<Frame | undefined> {
  try {
    return await frameHolding(disk, history.segments, revision);
  } catch (error) {
    // Retention may have removed the file in the meantime.
    if (isMissing(error) && revision <= history.base.revision) return undefined;
    throw error;
  }
}

/** The stored frame with the change set of `revision`. */
export async function frameHolding(disk: Disk, segments: readonly Segment[], revision: number): Promise<Frame | undefined> {
  return (await recordHolding(disk, segments, revision))?.record.frame;
}

/** The record of the frame with the change set of `revision`, and the segment that has it. */
export async function recordHolding(
  disk: Disk,
  segments: readonly Segment[],
  revision: number,
): Promise<{ readonly segment: Segment; readonly record: StoredRecord } | undefined> {
  const segment = findSegment(segments, revision - 1);
  if (segment === undefined) return undefined;
  const offset = (await loadIndex(disk, segment)).seek(revision - 1) ?? SEGMENT_HEADER_BYTES;
  for await (const record of recordsFrom(disk, segment, offset)) {
    if (record.frame.header.last.revision >= revision) return { segment, record };
  }
  return undefined;
}

/** The segment that holds the frame with the change set after `revision`. */
export function findSegment(segments: readonly Segment[], revision: number): Segment | undefined {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.header.base.revision <= revision) low = middle + 1;
    else high = middle;
  }
  return segments[low - 1];
}
