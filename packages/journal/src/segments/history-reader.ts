import type { Disk, DiskFile, ExactPosition, Frame, FrameHeader, FrameReader, StoredFrame } from '@evertree/core';
import { EvertreeError, samePosition } from '@evertree/core';
import { damaged, isMissing, journalClosed } from '../groups/failure.ts';
import { describe } from '../groups/follow.ts';
import { isFound, type FindOptions } from './found.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { History } from './history.ts';
import { FileWindow, readRecord } from './record-reader.ts';
import { SEGMENT_HEADER_BYTES } from './segment-format.ts';
import type { Segment } from './segment.ts';
import { loadIndex } from './segment.ts';

/** Where a reader stands in a segment. */
interface Place {
  readonly segment: Segment;
  readonly file: DiskFile;
  readonly window: FileWindow;
  offset: number;
}

/** Reads stable frames one after the other: from memory if they are there, else from their segments. */
export class HistoryReader implements FrameReader {
  readonly #disk: Disk;
  readonly #history: History;
  readonly #commit: GroupCommit;
  readonly #generation: number;
  #position: ExactPosition;
  #place: Place | undefined;
  #ended = false;

  constructor(disk: Disk, history: History, commit: GroupCommit, position: ExactPosition) {
    this.#disk = disk;
    this.#history = history;
    this.#commit = commit;
    this.#generation = history.generation;
    this.#position = position;
    this.#assertReached();
  }

  async next(): Promise<StoredFrame | undefined> {
    if (this.#ended || this.#commit.state === 'closed') throw journalClosed();
    this.#assertReached();
    const { revision } = this.#position;
    const { stable } = this.#history;
    if (revision >= stable.revision) {
      // A reader may wait for frames behind one that is appended and not stable yet, but not for what nobody ever saw.
      if (revision === stable.revision) this.#assertOurs(stable);
      else if (revision > this.#commit.last.revision) this.#assertOurs(undefined);
      return undefined;
    }
    const recent = this.#history.tail.after(revision);
    if (recent !== undefined) {
      await this.#leave();
      return this.#take(recent);
    }
    return this.#take(await this.#readStored());
  }

  async close(): Promise<void> {
    this.#ended = true;
    await this.#leave();
  }

  #take(stored: StoredFrame): StoredFrame {
    this.#assertOurs(stored.frame.header.base);
    this.#position = stored.frame.header.last;
    return stored;
  }

  async #readStored(): Promise<StoredFrame> {
    try {
      return await this.#readOn();
    } catch (error) {
      // Retention may have taken the file away between a look at the list and the opening.
      this.#assertReached();
      throw error;
    }
  }

  async #readOn(): Promise<StoredFrame> {
    for (;;) {
      const place = await this.#arrive();
      const { segment } = place;
      const record = await readRecord(place.window, place.offset, segment.end, segment.header.salt);
      if (record === undefined) throw damaged(segment.path, place.offset, 'no sound record is there');
      place.offset = record.next;
      // A search begins a little before what it looks for.
      if (record.frame.header.last.revision > this.#position.revision) return { frame: record.frame, trailer: record.trailer };
    }
  }

  /** Goes to where the next frame stands. */
  async #arrive(): Promise<Place> {
    if (this.#place !== undefined && this.#place.offset < this.#place.segment.end) return this.#place;
    await this.#leave();
    const segment = findSegment(this.#history.segments, this.#position.revision);
    if (segment === undefined) throw new EvertreeError('HISTORY_MISMATCH', `no segment holds what follows ${describe(this.#position)}`);
    this.#place = await openPlace(this.#disk, segment, this.#position.revision);
    return this.#place;
  }

  async #leave(): Promise<void> {
    const place = this.#place;
    this.#place = undefined;
    await place?.file.close();
  }

  #assertReached(): void {
    const { base, generation } = this.#history;
    if (this.#position.revision >= base.revision && generation === this.#generation) return;
    throw new EvertreeError(
      'COMPACTED',
      `the journal begins at ${describe(base)} and no longer reaches back to ${describe(this.#position)}`,
      {
        base,
        position: this.#position,
      },
    );
  }

  /** @param found the position in this journal that has the revision of ours; undefined when it has none */
  #assertOurs(found: ExactPosition | undefined): void {
    if (found !== undefined && samePosition(found, this.#position)) return;
    const { stable } = this.#history;
    const problem = `${describe(this.#position)} is not a frame's end in this journal, which is stable up to ${describe(stable)}`;
    throw new EvertreeError('HISTORY_MISMATCH', problem, { expected: found ?? stable, found: this.#position });
  }
}

/** As Journal.find. */
export async function findFrame(
  disk: Disk,
  history: History,
  position: ExactPosition,
  options?: FindOptions,
): Promise<FrameHeader | undefined> {
  const { base, stable, tail } = history;
  if (position.revision <= base.revision || position.revision > stable.revision) return undefined;
  const recent = tail.holding(position.revision)?.frame;
  const frame = recent ?? (await searchStored(disk, history, position.revision));
  return frame !== undefined && isFound(frame.header, position, options) ? frame.header : undefined;
}

async function searchStored(disk: Disk, history: History, revision: number): Promise<Frame | undefined> {
  try {
    return await frameHolding(disk, history.segments, revision);
  } catch (error) {
    // Retention may have taken the file away in the meantime.
    if (isMissing(error) && revision <= history.base.revision) return undefined;
    throw error;
  }
}

/** The stored frame with the change set of `revision`. */
export async function frameHolding(disk: Disk, segments: readonly Segment[], revision: number): Promise<Frame | undefined> {
  const segment = findSegment(segments, revision - 1);
  if (segment === undefined) return undefined;
  const place = await openPlace(disk, segment, revision - 1);
  try {
    while (place.offset < segment.end) {
      const record = await readRecord(place.window, place.offset, segment.end, segment.header.salt);
      if (record === undefined) throw damaged(segment.path, place.offset, 'no sound record is there');
      if (record.frame.header.last.revision >= revision) return record.frame;
      place.offset = record.next;
    }
    return undefined;
  } finally {
    await place.file.close();
  }
}

/** The segment that holds the frame with the change set after `revision`. */
function findSegment(segments: readonly Segment[], revision: number): Segment | undefined {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.header.base.revision <= revision) low = middle + 1;
    else high = middle;
  }
  return segments[low - 1];
}

async function openPlace(disk: Disk, segment: Segment, revision: number): Promise<Place> {
  const offset = (await loadIndex(disk, segment)).seek(revision) ?? SEGMENT_HEADER_BYTES;
  const file = await disk.open(segment.path, {});
  return { segment, file, window: new FileWindow(file), offset };
}
