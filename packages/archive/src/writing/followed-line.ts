import type { Clock } from '@evertree/core';
import { EvertreeError, formatPosition, samePosition } from '@evertree/core';
import { asError } from '@evertree/journal/files';
import type { ArchiveSource } from './archive-source.ts';
import type { BackupResult } from './archiver-options.ts';
import type { ArchivedEnd } from './frame-batch.ts';
import type { ImageOwner } from './image-writer.ts';
import { HistoryMoved } from './history-moved.ts';
import type { LineWriter } from './line-writer.ts';
import type { WrittenCounts } from './object-writer.ts';
import { resultOf } from './one-shot.ts';
import type { ProgressBoard } from './progress-board.ts';
import type { SpoolWatch } from './spool-watch.ts';
import { cutTail } from './tail-cut.ts';
import { TailWriter } from './tail-writer.ts';

/** The tail becomes stretches when it has so many bytes of frames, but not more often than the pause, up to the limit. */
const CUT_BYTES = 8 * 1024 * 1024;
const CUT_LIMIT_BYTES = 64 * 1024 * 1024;
const CUT_PAUSE_MS = 5_000;
/** Each cut writes all entries of the line anew: it has to bring more than they have, a few hundred bytes each. */
const CUT_BYTES_PER_ENTRY = 4 * 1024;
/** Or so many objects: a restore reads them one by one. */
const CUT_OBJECTS = 600;
/** Or when its first object is so old. */
const CUT_AFTER_MS = 3_600_000;
/** Whether the line is still its own is looked at so often. */
const CHECK_MS = 10_000;
/** For so long a journal may be between two segments. */
const STALL_LIMIT_MS = 30_000;

export interface FollowedLineParts {
  readonly writer: LineWriter;
  /** See ARCHIVE.md, «Manifest». */
  readonly site: string;
  readonly source: ArchiveSource;
  readonly clock: Clock;
  readonly board: ProgressBoard;
  readonly spool: SpoolWatch;
}

/** A line that grows with the history: its tail, and the stretches that are made of it meanwhile. */
export class FollowedLine {
  readonly #parts: FollowedLineParts;
  readonly #tail: TailWriter;
  /** The cut that is under way; it runs beside the tail. */
  #cutting: Promise<void> | undefined;
  #cutFailure: Error | undefined;
  #cutAt: number;
  #checkedAt: number;
  /** Since when the journal has not gone on although it is said to. */
  #stalledAt: number | undefined;
  #snapshotAsked = false;
  /** What was written before the present request. */
  #counted: WrittenCounts;

  private constructor(parts: FollowedLineParts) {
    const { writer, site, clock } = parts;
    this.#parts = parts;
    this.#cutAt = clock.monotonic();
    this.#checkedAt = clock.monotonic();
    this.#counted = { objects: 0, bytes: 0, plainBytes: 0, commits: 0, images: 0 };
    const archived = ({ plainBytes }: { readonly plainBytes: number }): void => this.#archived(plainBytes);
    this.#tail = new TailWriter(writer.writer, writer.owner, { site, end: writer.end, archived });
  }

  /** Publishes what the writer has caught up with, and the tail: it is known before its first object is written. */
  static async begin(parts: FollowedLineParts): Promise<FollowedLine> {
    const line = new FollowedLine(parts);
    await parts.writer.publish([line.#tail.note]);
    parts.writer.hold(parts.writer.end);
    parts.spool.released();
    parts.board.reached(line.end, { gaps: parts.writer.gaps, written: { ...parts.writer.counts } });
    return line;
  }

  get owner(): ImageOwner {
    return this.#parts.writer.owner;
  }

  /** Everything up to here is archived. */
  get end(): ArchivedEnd {
    return this.#tail.end;
  }

  /**
   * Archives what is new, and what is due beside that.
   * @param whole makes stretches of all of it, and waits for that
   * @throws HistoryMoved, LineLost; EvertreeError
   */
  async advance(whole: boolean): Promise<void> {
    const { source, writer, board, clock } = this.#parts;
    this.#assertCut();
    const { stable } = await source.extent();
    if (samePosition(stable, this.end.position)) board.set({ lastSuccess: clock.now() });
    else await this.#write(stable);
    if (clock.monotonic() - this.#checkedAt >= CHECK_MS) {
      await writer.check();
      this.#checkedAt = clock.monotonic();
    }
    if (whole) await this.#cutting;
    if (whole || this.#isCutDue()) this.#beginCut();
    if (whole) await this.#cutting;
    if (whole) this.#assertCut();
  }

  /** What was brought about since the result before. */
  result(milliseconds: number): BackupResult {
    const { writer } = this.#parts;
    const before = this.#counted;
    const { objects, bytes, plainBytes, commits, images } = writer.counts;
    this.#counted = { ...writer.counts };
    const counts = {
      objects: objects - before.objects,
      bytes: bytes - before.bytes,
      plainBytes: plainBytes - before.plainBytes,
      commits: commits - before.commits,
      images: images - before.images,
    };
    return resultOf(writer, { counts, milliseconds, gap: undefined });
  }

  /** The next `advance` looks whether the archive still is what it was. */
  doubt(): void {
    this.#checkedAt = -Infinity;
  }

  /** Waits for what runs beside; the target throws CLOSED or goes on. */
  async abandon(): Promise<void> {
    await this.#cutting;
  }

  async #write(stable: ArchivedEnd['position']): Promise<void> {
    const { source, clock } = this.#parts;
    const before = this.end;
    if (stable.revision <= before.position.revision) throw new HistoryMoved(before);
    await this.#tail.write(source.frames(before.position), stable);
    if (this.end !== before) {
      this.#stalledAt = undefined;
      return;
    }
    if ((await source.chainAt(before.position)) !== before.chain) throw new HistoryMoved(before);
    this.#stalledAt ??= clock.monotonic();
    if (clock.monotonic() - this.#stalledAt < STALL_LIMIT_MS) return;
    const message = `the journal can't be read on from ${formatPosition(before.position)}; run "evertree verify" on the directory`;
    throw new EvertreeError('DAMAGED', message, { position: before.position });
  }

  /** A cut that failed, failed for a reason that ends the line. */
  #assertCut(): void {
    if (this.#cutFailure !== undefined) throw this.#cutFailure;
  }

  #archived(plainBytes: number): void {
    const { board, spool, writer } = this.#parts;
    spool.taken(this.end.position, plainBytes);
    const { objects, bytes, plainBytes: plain, commits } = writer.counts;
    board.reached(this.end, { state: 'archiving', written: { objects, bytes, plainBytes: plain, commits } });
  }

  #isCutDue(): boolean {
    const { objects, plainBytes } = this.#tail;
    if (this.#cutting !== undefined || objects.length === 0) return false;
    const since = this.#parts.clock.monotonic() - this.#cutAt;
    if (plainBytes >= cutBytes(this.#parts.writer.entries) && (since >= CUT_PAUSE_MS || plainBytes >= CUT_LIMIT_BYTES)) return true;
    return objects.length >= CUT_OBJECTS || since >= CUT_AFTER_MS;
  }

  #beginCut(): void {
    this.#cutAt = this.#parts.clock.monotonic();
    this.#cutting = this.#cut()
      .catch((error: unknown) => {
        this.#cutFailure = asError(error);
      })
      .finally(() => {
        this.#cutting = undefined;
      });
  }

  /** Makes stretches of what the tail has now, and publishes them. */
  async #cut(): Promise<void> {
    const { writer, source, board } = this.#parts;
    const { objects } = this.#tail;
    const { stretches, swallowed } = await cutTail(objects, source, writer.stretches);
    writer.add(
      stretches,
      swallowed.map(({ path, bytes }) => ({ path, bytes })),
    );
    if (await writer.addImageIfDue()) this.#askForSnapshot();
    if (writer.hasNews) await writer.publish([objects.length === 0 ? this.#tail.note : this.#tail.noteBehind(objects.length)]);
    if (objects.length > 0) this.#tail.drop(objects.length);
    writer.hold(writer.end);
    board.set({ gaps: writer.gaps });
  }

  /** For the image of a later cut. */
  #askForSnapshot(): void {
    if (this.#snapshotAsked) return;
    this.#snapshotAsked = true;
    void this.#parts.source
      .makeSnapshot()
      .catch(() => false)
      .finally(() => {
        this.#snapshotAsked = false;
      });
  }
}

/** How many bytes of frames a tail has when it is cut. @param entries that the line has in the manifest */
export function cutBytes(entries: number): number {
  return Math.min(CUT_LIMIT_BYTES, Math.max(CUT_BYTES, entries * CUT_BYTES_PER_ENTRY));
}
