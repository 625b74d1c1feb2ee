import type { Divergence, ExactPosition, Keep } from '@evertree/core';
import { EvertreeError, formatExactPosition, ORIGIN, samePosition } from '@evertree/core';
import { asError, isNoSpace } from '../groups/failure.ts';
import type { Retainer } from '../retention/retainer.ts';
import { recordHolding } from '../segments/frame-search.ts';
import type { Segment } from '../segments/segment.ts';
import type { DiskIdentity } from '../site/disk-identity.ts';
import type { SnapshotList } from '../snapshots/snapshot-list.ts';
import { type DivergedParts, divergedAfter, notHere } from './diverged.ts';
import { finishRewind, withdrawRewind, writeRewind } from './rewind-file.ts';

/** The record that ends at the position of the rewind. */
interface RewindEnd {
  readonly segment: Segment;
  /** The offset after it. */
  readonly end: number;
  /** Commit time of its last change set. */
  readonly time: number;
}

interface RewinderParts extends DivergedParts {
  readonly snapshots: SnapshotList;
  readonly retainer: Retainer;
  readonly identity: DiskIdentity;
}

/** Cuts the history back to one of its positions. */
export class Rewinder {
  readonly #parts: RewinderParts;

  constructor(parts: RewinderParts) {
    this.#parts = parts;
  }

  /** As `FrameLog.rewind`. */
  async rewind(position: ExactPosition, keep: Keep, moved?: () => void): Promise<void> {
    this.#parts.commit.assertOpen();
    await this.#parts.commit.suspend(`this history is cut back to ${formatExactPosition(position)}`);
    const progress = { isDecided: false };
    try {
      // Pending frames could not be handed out, and rewind.json could not be written.
      if (this.#parts.commit.state === 'full') throw full(this.#parts.commit.failure);
      await this.#parts.retainer.exclusively(async () => {
        this.#parts.commit.assertOpen();
        const end = await this.#locate(position);
        const divergence = divergedAfter(this.#parts, position);
        if (divergence === undefined) return;
        await this.#decide(divergence, end, keep, progress);
        await this.#carryOut(position, end, moved);
      });
    } catch (error) {
      // The journal must fail: the next opening finishes the rewind, and would remove frames that are appended before.
      if (progress.isDecided) this.#parts.commit.fail(unfinished(error));
      throw error;
    } finally {
      this.#parts.commit.resume();
    }
  }

  async #decide(divergence: Divergence, end: RewindEnd | undefined, keep: Keep, progress: { isDecided: boolean }): Promise<void> {
    const { disk, commit, history, identity } = this.#parts;
    const { base: position } = divergence;
    this.#assertBeginning(position);
    await keep(divergence);
    commit.assertOpen();
    const newest = end === undefined ? undefined : { path: end.segment.path, end: end.end };
    try {
      await identity.forgetClosing();
      progress.isDecided = true;
      await writeRewind(disk, { position, generation: history.generation, newest });
    } catch (error) {
      await withdrawRewind(disk);
      progress.isDecided = false;
      throw isNoSpace(error) ? full(error) : error;
    }
  }

  async #carryOut(position: ExactPosition, end: RewindEnd | undefined, moved: (() => void) | undefined): Promise<void> {
    await this.#parts.history.close(false);
    // In one step: whoever looks at the positions or reads the log finds the tree there, too.
    this.#parts.history.rewind(position, end);
    this.#parts.snapshots.dropAfter(position.revision);
    this.#parts.commit.restart({ last: position, stream: samePosition(position, ORIGIN) ? undefined : this.#parts.commit.stream });
    moved?.();
    await finishRewind(this.#parts.disk);
    await this.#parts.history.reopen();
  }

  /** @returns undefined for the base of the history */
  async #locate(position: ExactPosition): Promise<RewindEnd | undefined> {
    const { base, stable } = this.#parts.history;
    if (samePosition(position, base)) return undefined;
    if (position.revision < base.revision) throw compacted(base, position);
    const found =
      position.revision > stable.revision
        ? undefined
        : await recordHolding(this.#parts.disk, this.#parts.history.segments, position.revision);
    if (found === undefined || !samePosition(found.record.frame.header.last, position)) {
      throw notHere(position, stable);
    }
    return { segment: found.segment, end: found.record.next, time: found.record.frame.header.lastTime };
  }

  /** Recovery has to begin with a snapshot at or before the position, or with the origin. */
  #assertBeginning(position: ExactPosition): void {
    const { base } = this.#parts.history;
    if (samePosition(base, ORIGIN) || this.#parts.snapshots.newestUpTo(position.revision) !== undefined) return;
    throw compacted(this.#parts.snapshots.all[0]?.header.position ?? base, position);
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
