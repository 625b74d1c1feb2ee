import type { Disk, DiskFile, ExactPosition, FrameHeader, Random } from '@evertree/core';
import { ORIGIN, samePosition } from '@evertree/core';
import type { Group, SyncMode } from './active-segment.ts';
import { ActiveSegment } from './active-segment.ts';
import { FrameTail } from './frame-tail.ts';
import { SEGMENT_DIRECTORY, segmentPath, TEMPORARY_SUFFIX } from '../site/layout.ts';
import type { SegmentHeader } from './segment-format.ts';
import { encodeSegmentHeader } from './segment-format.ts';
import type { Segment } from './segment.ts';
import { emptySegment } from './segment.ts';

/**
 * The most frames in memory for readers. A small frame takes more of the heap than its bytes: 36,000 of them made a
 * collection of the young generation take 6 ms instead of 4.
 */
const TAIL_FRAMES = 1_024;

export interface SegmentListOptions {
  readonly disk: Disk;
  readonly random: Random;
  readonly segmentBytes: number;
  readonly tailBytes: number;
  readonly mode: SyncMode;
  /** A write outside the groups (zeros ahead, a seal) failed, and not because the disk is full. */
  readonly failed: (error: unknown) => void;
  /** A new segment became the active one. */
  readonly switched: () => void;
}

/** The history that recovery found. */
export interface HistoryStart {
  readonly base: ExactPosition;
  readonly generation: number;
  /** Oldest first, without holes. */
  readonly segments: readonly Segment[];
  /** The last segment takes more frames. */
  readonly continues: boolean;
}

/** The stable frames of a journal: the segments they lie in, and the newest of them in memory. */
export class SegmentList {
  readonly tail: FrameTail;
  readonly #options: SegmentListOptions;
  #base: ExactPosition = ORIGIN;
  #stable: ExactPosition = ORIGIN;
  #generation = 0;
  /** Counts how often the history was cut back. Frames that were read before may no longer be part of it. */
  #rewinds = 0;
  /** Oldest first; each begins where the one before it ends. */
  #segments: Segment[] = [];
  #active: ActiveSegment | undefined;
  /** A new segment is being created asynchronously. No other one is created at the same time. */
  #creating = false;
  /** Resolves when the former active segments are sealed. They are sealed one after the other. */
  #closing: Promise<void> = Promise.resolve();

  constructor(options: SegmentListOptions) {
    this.#options = options;
    this.tail = new FrameTail(options.tailBytes, TAIL_FRAMES);
  }

  get base(): ExactPosition {
    return this.#base;
  }

  get stable(): ExactPosition {
    return this.#stable;
  }

  get generation(): number {
    return this.#generation;
  }

  get rewinds(): number {
    return this.#rewinds;
  }

  /** Oldest first. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get active(): ActiveSegment | undefined {
    return this.#active;
  }

  get canCreate(): boolean {
    return !this.#creating;
  }

  async start(start: HistoryStart): Promise<void> {
    this.#base = start.base;
    this.#generation = start.generation;
    this.#segments = [...start.segments];
    const newest = this.#segments.at(-1);
    this.#stable = newest?.last ?? start.base;
    if (start.continues) await this.reopen();
  }

  /** Records that the group is stable. */
  settle(group: Group): void {
    group.segment.settle(group);
    for (const pending of group.frames) this.tail.push(pending);
    this.#stable = group.frames.at(-1)!.frame.header.last;
  }

  /**
   * Creates the next segment, for the frame with the header `first`, and seals the active one in the background. Does
   * nothing if the active segment changed or grew in the meantime: a commit in a synchronous loop does not wait.
   */
  async nextSegment(first: FrameHeader): Promise<void> {
    const before = this.#active;
    await before?.filled();
    if (this.#active !== before) return;
    const header = this.#header(first.stream);
    const path = segmentPath({ epoch: first.epoch, revision: first.base.revision + 1 });
    this.#creating = true;
    let file: DiskFile | undefined;
    try {
      file = await this.#open(path + TEMPORARY_SUFFIX, true);
      await file.write([encodeSegmentHeader(header)], 0);
      await file.sync();
      await this.#options.disk.rename(path + TEMPORARY_SUFFIX, path);
      await this.#options.disk.syncDirectory(SEGMENT_DIRECTORY);
      if (samePosition(this.#stable, header.base)) {
        this.#switchTo(this.#activate(emptySegment(path, header), file));
        file = undefined;
      } else {
        await this.#options.disk.remove(path);
      }
    } finally {
      this.#creating = false;
      await file?.close();
    }
  }

  /** Creates it before it returns. Only if `canCreate`: a second creation might use the same name. */
  nextSegmentSync(first: FrameHeader): void {
    const header = this.#header(first.stream);
    const path = segmentPath({ epoch: first.epoch, revision: first.base.revision + 1 });
    const { disk, mode } = this.#options;
    const file = disk.openSync(path + TEMPORARY_SUFFIX, { create: true, write: true, durableWrites: mode === 'dsync' });
    try {
      file.writeSync([encodeSegmentHeader(header)], 0);
      file.syncSync();
      disk.renameSync(path + TEMPORARY_SUFFIX, path);
      disk.syncDirectorySync(SEGMENT_DIRECTORY);
    } catch (error) {
      this.#closing = this.#closing.then(() => file.close()).catch(this.#options.failed);
      throw error;
    }
    this.#switchTo(this.#activate(emptySegment(path, header), file));
  }

  /**
   * Takes the oldest `count` segments out of the list, so that readers of them get COMPACTED. The caller removes the
   * files.
   */
  dropOldest(count: number): Segment[] {
    const dropped = this.#segments.splice(0, count);
    const oldest = this.#segments[0];
    if (dropped.length > 0) this.#base = oldest?.header.base ?? this.#stable;
    return dropped;
  }

  /**
   * Replaces the history by a snapshot at `base`. The list is closed before.
   * @returns the former segments; the caller removes the files
   */
  replace(base: ExactPosition, generation: number): Segment[] {
    const dropped = this.#segments;
    this.#segments = [];
    this.#base = base;
    this.#stable = base;
    this.#generation = generation;
    this.tail.clear();
    return dropped;
  }

  /**
   * Forgets the frames after `position`. The list is closed before. The caller then changes the files, and calls
   * `reopen`.
   * @param newest the segment with the record that ends at `position`, and the offset after that record; undefined for
   *   the base
   */
  rewind(position: ExactPosition, newest: { readonly segment: Segment; readonly end: number; readonly time: number } | undefined): void {
    this.#segments = newest === undefined ? [] : this.#segments.slice(0, this.#segments.indexOf(newest.segment) + 1);
    if (newest !== undefined) {
      const { segment, end, time } = newest;
      segment.index = segment.index?.before(end);
      segment.last = position;
      segment.lastTime = time;
      segment.end = end;
      segment.bytes = end;
    }
    this.#stable = position;
    this.#rewinds++;
    this.tail.dropAfter(position.revision);
  }

  /** Makes the newest segment the active one. */
  async reopen(): Promise<void> {
    const newest = this.#segments.at(-1);
    if (newest !== undefined) this.#active = this.#activate(newest, await this.#open(newest.path, false));
  }

  /** Waits for writes and seals that are in flight, and closes the files. */
  async close(trim: boolean): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    await active?.close(trim);
    await this.#closing;
  }

  #switchTo(next: ActiveSegment): void {
    const before = this.#active;
    this.#active = next;
    this.#segments.push(next.segment);
    if (before === undefined) return;
    this.#closing = this.#closing.then(() => before.seal()).catch(this.#options.failed);
    this.#options.switched();
  }

  #header(stream: string): SegmentHeader {
    const salt = Buffer.from(this.#options.random.bytes(4)).readUInt32LE(0);
    return { stream, base: this.#stable, salt, generation: this.#generation };
  }

  #open(path: string, create: boolean): Promise<DiskFile> {
    return this.#options.disk.open(path, { create, write: true, durableWrites: this.#options.mode === 'dsync' });
  }

  #activate(segment: Segment, file: DiskFile): ActiveSegment {
    const { mode, segmentBytes, failed } = this.#options;
    return new ActiveSegment(segment, file, { mode, limitBytes: segmentBytes, failed });
  }
}
