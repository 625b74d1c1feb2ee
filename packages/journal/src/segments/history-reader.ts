import type { Disk, ExactPosition, FrameReader, StoredFrame } from '@evertree/core';
import { EvertreeError, formatExactPosition, samePosition } from '@evertree/core';
import { journalClosed, readFailed } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { SegmentList } from './segment-list.ts';
import { findSegment } from './frame-search.ts';
import type { ReadCursor } from './read-cursor.ts';
import { openCursor, readAt } from './read-cursor.ts';

export interface HistoryReaderParts {
  readonly disk: Disk;
  readonly history: SegmentList;
  readonly commit: GroupCommit;
}

/** Reads stable frames one after the other: from memory where they are held there, else from their segments. */
export class HistoryReader implements FrameReader {
  readonly #disk: Disk;
  readonly #history: SegmentList;
  readonly #commit: GroupCommit;
  readonly #isFleeting: boolean;
  /** The generation of the history that is read. A snapshot that replaces the history raises that of the list. */
  readonly #generation: number;
  /** The list's count of rewinds when the cursor was opened. */
  #rewinds = 0;
  #position: ExactPosition;
  /** Where the next frame stands in its file; undefined while the frames come from memory. */
  #cursor: ReadCursor | undefined;
  #ended = false;

  /** @param isFleeting a frame's bytes are valid until the next one is asked for */
  constructor({ disk, history, commit }: HistoryReaderParts, position: ExactPosition, isFleeting = false) {
    this.#isFleeting = isFleeting;
    this.#disk = disk;
    this.#history = history;
    this.#commit = commit;
    this.#generation = history.generation;
    this.#position = position;
    this.#assertReached();
  }

  async next(): Promise<StoredFrame | undefined> {
    if (this.#ended || this.#commit.state === 'closed') throw journalClosed();
    for (;;) {
      const { rewinds } = this.#history;
      const stored = await this.#find();
      // A frame that was read while the history was cut back may be one of those that went: read again.
      if (rewinds === this.#history.rewinds) return stored === undefined ? undefined : this.#take(stored);
    }
  }

  /** The frame after the position; undefined when there is none yet. */
  async #find(): Promise<StoredFrame | undefined> {
    this.#assertReached();
    const { revision } = this.#position;
    const { stable } = this.#history;
    if (revision >= stable.revision) {
      // A position up to `last` may be waited for: its frame is appended, if not stable. A later one is not of this
      // history.
      if (revision === stable.revision) this.#assertOurs(stable);
      else if (revision > this.#commit.last.revision) this.#assertOurs(undefined);
      return undefined;
    }
    const recent = this.#history.tail.after(revision);
    if (recent !== undefined) {
      await this.#leave();
      return recent;
    }
    return this.#readStored();
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
      // Retention may have removed the file after it was looked up in the list.
      this.#assertReached();
      throw readFailed(error);
    }
  }

  async #readOn(): Promise<StoredFrame> {
    for (;;) {
      const cursor = await this.#arrive();
      const record = await readAt(cursor);
      // The index is sparse: the search starts at a record before the position.
      if (record.frame.header.last.revision > this.#position.revision) return { frame: record.frame, trailer: record.trailer };
    }
  }

  /** Opens the segment that holds the next frame, unless the cursor is in it. */
  async #arrive(): Promise<ReadCursor> {
    const { rewinds } = this.#history;
    if (this.#cursor !== undefined && this.#rewinds === rewinds && this.#cursor.offset < this.#cursor.segment.end) return this.#cursor;
    await this.#leave();
    this.#rewinds = rewinds;
    const segment = findSegment(this.#history.segments, this.#position.revision);
    if (segment === undefined)
      throw new EvertreeError('HISTORY_MISMATCH', `no segment holds what follows ${formatExactPosition(this.#position)}`);
    this.#cursor = await openCursor(this.#disk, segment, { revision: this.#position.revision, fleeting: this.#isFleeting });
    return this.#cursor;
  }

  async #leave(): Promise<void> {
    const cursor = this.#cursor;
    this.#cursor = undefined;
    await cursor?.file.close();
  }

  #assertReached(): void {
    const { base, generation } = this.#history;
    if (this.#position.revision >= base.revision && generation === this.#generation) return;
    throw new EvertreeError(
      'COMPACTED',
      `the journal begins at ${formatExactPosition(base)} and no longer reaches back to ${formatExactPosition(this.#position)}`,
      {
        base,
        position: this.#position,
      },
    );
  }

  /** @param found the journal's own position of the same revision; undefined if it has none */
  #assertOurs(found: ExactPosition | undefined): void {
    if (found !== undefined && samePosition(found, this.#position)) return;
    const { stable } = this.#history;
    const problem = `${formatExactPosition(this.#position)} is not a frame's end in this journal, which is stable up to ${formatExactPosition(stable)}`;
    throw new EvertreeError('HISTORY_MISMATCH', problem, { expected: found ?? stable, found: this.#position });
  }
}
