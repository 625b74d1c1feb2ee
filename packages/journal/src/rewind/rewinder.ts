import type { Disk, Divergence, ExactPosition, StoredFrame } from '@evertree/core';
import { EvertreeError, formatExactPosition, ORIGIN, samePosition } from '@evertree/core';
import { asError, isNoSpace } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { Retainer } from '../retention/retainer.ts';
import { recordHolding } from '../segments/frame-search.ts';
import { HistoryReader } from '../segments/history-reader.ts';
import type { SegmentList } from '../segments/segment-list.ts';
import type { Segment } from '../segments/segment.ts';
import { storedSnapshot } from '../snapshots/snapshot-file.ts';
import type { SnapshotList } from '../snapshots/snapshot-list.ts';
import { finishRewind, writeRewind } from './rewind-file.ts';

type Keep = (divergence: Divergence) => Promise<void>;

/** The record that ends at the position of the rewind. */
interface RewindEnd {
  readonly segment: Segment;
  /** The offset after it. */
  readonly end: number;
  /** Commit time of its last change set. */
  readonly time: number;
}

/** Cuts the history back to one of its positions. */
export class Rewinder {
  readonly #disk: Disk;
  readonly #history: SegmentList;
  readonly #commit: GroupCommit;
  readonly #snapshots: SnapshotList;
  readonly #retainer: Retainer;

  constructor(parts: { disk: Disk; history: SegmentList; commit: GroupCommit; snapshots: SnapshotList; retainer: Retainer }) {
    this.#disk = parts.disk;
    this.#history = parts.history;
    this.#commit = parts.commit;
    this.#snapshots = parts.snapshots;
    this.#retainer = parts.retainer;
  }

  /** As `FrameLog.rewind`. */
  async rewind(position: ExactPosition, keep: Keep, moved?: () => void): Promise<void> {
    this.#commit.assertOpen();
    await this.#commit.suspend(`this history is cut back to ${formatExactPosition(position)}`);
    const progress = { isDecided: false };
    try {
      // Pending frames could not be handed out, and rewind.json could not be written.
      if (this.#commit.state === 'full') throw full(this.#commit.failure);
      await this.#retainer.exclusively(async () => {
        this.#commit.assertOpen();
        const end = await this.#locate(position);
        if (samePosition(position, this.#history.stable)) return;
        await this.#decide(position, end, keep);
        progress.isDecided = true;
        await this.#carryOut(position, end, moved);
      });
    } catch (error) {
      // The journal must fail: the next opening finishes the rewind, and would remove frames that are appended before.
      if (progress.isDecided) this.#commit.fail(unfinished(error));
      throw error;
    } finally {
      this.#commit.resume();
    }
  }

  async #decide(position: ExactPosition, end: RewindEnd | undefined, keep: Keep): Promise<void> {
    this.#assertBeginning(position);
    await keep(this.#divergence(position));
    this.#commit.assertOpen();
    const { generation } = this.#history;
    const newest = end === undefined ? undefined : { path: end.segment.path, end: end.end };
    try {
      await writeRewind(this.#disk, { position, generation, newest });
    } catch (error) {
      throw isNoSpace(error) ? full(error) : error;
    }
  }

  async #carryOut(position: ExactPosition, end: RewindEnd | undefined, moved: (() => void) | undefined): Promise<void> {
    await this.#history.close(false);
    // In one step: whoever looks at the positions or reads the log finds the tree there, too.
    this.#history.rewind(position, end);
    this.#snapshots.dropAfter(position.revision);
    this.#commit.restart({ last: position, stream: samePosition(position, ORIGIN) ? undefined : this.#commit.stream });
    moved?.();
    await finishRewind(this.#disk);
    await this.#history.reopen();
  }

  /** @returns undefined for the base of the history */
  async #locate(position: ExactPosition): Promise<RewindEnd | undefined> {
    const { base, stable } = this.#history;
    if (samePosition(position, base)) return undefined;
    if (position.revision < base.revision) throw compacted(base, position);
    const found =
      position.revision > stable.revision ? undefined : await recordHolding(this.#disk, this.#history.segments, position.revision);
    if (found === undefined || !samePosition(found.record.frame.header.last, position)) {
      const problem = `${formatExactPosition(position)} is not a frame's end in this journal, which is stable up to ${formatExactPosition(stable)}`;
      throw new EvertreeError('HISTORY_MISMATCH', problem, { expected: stable, found: position });
    }
    return { segment: found.segment, end: found.record.next, time: found.record.frame.header.lastTime };
  }

  /** Recovery has to begin with a snapshot at or before the position, or with the origin. */
  #assertBeginning(position: ExactPosition): void {
    const { base } = this.#history;
    if (samePosition(base, ORIGIN) || this.#snapshots.newestUpTo(position.revision) !== undefined) return;
    throw compacted(this.#snapshots.all[0]?.header.position ?? base, position);
  }

  #divergence(base: ExactPosition): Divergence {
    const last = this.#history.stable;
    const snapshots = this.#snapshots.all.filter(file => file.header.position.revision > base.revision);
    return {
      base,
      last,
      frames: () => this.#frames(base, last),
      snapshots: snapshots.map(file => storedSnapshot(this.#disk, file)),
    };
  }

  async *#frames(base: ExactPosition, last: ExactPosition): AsyncGenerator<StoredFrame, void, undefined> {
    const reader = new HistoryReader(this.#disk, this.#history, this.#commit, base);
    try {
      for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) {
        yield stored;
        if (stored.frame.header.last.revision >= last.revision) return;
      }
    } finally {
      await reader.close();
    }
  }
}

function compacted(base: ExactPosition, position: ExactPosition): EvertreeError {
  const problem = `the journal begins at ${formatExactPosition(base)} and can't be cut back to ${formatExactPosition(position)}`;
  return new EvertreeError('COMPACTED', problem, { base, position });
}

/** Never the error of a full disk itself: `full` would be tried again, and the journal must not go on. */
function unfinished(cause: unknown): Error {
  return new Error(`a rewind that was decided could not be finished: ${asError(cause).message}`, { cause });
}

function full(cause: unknown): EvertreeError {
  return new EvertreeError('STORAGE_FULL', 'there is no room on the disk to cut the history back; make room, then try again', {}, cause);
}
