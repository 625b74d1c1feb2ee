import type {
  Clock,
  ExactPosition,
  ListedSnapshot,
  SnapshotHeader,
  SnapshotOptions,
  SnapshotStore,
  SnapshotWriter,
  StoredSnapshot,
} from '@evertree/core';
import { EvertreeError, formatExactPosition, samePosition } from '@evertree/core';
import { journalClosed } from '../groups/failure.ts';
import { findFrame } from '../segments/frame-search.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';
import type { Retainer } from '../retention/retainer.ts';
import { type DivergedParts, divergedAfter } from '../rewind/diverged.ts';
import type { DiskIdentity } from '../site/disk-identity.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import { storedSnapshot } from './snapshot-file.ts';
import type { SnapshotList } from './snapshot-list.ts';
import { removeFiles } from '../disk/removal.ts';

/** What takes the history's place, beside the snapshot itself. */
interface Replacement {
  /** That of `SnapshotWriter.commit`. */
  readonly moved: (() => void) | undefined;
  readonly diverged: SnapshotOptions['diverged'];
}

interface SnapshotParts extends DivergedParts {
  readonly clock: Clock;
  readonly snapshots: SnapshotList;
  readonly retainer: Retainer;
  readonly identity: DiskIdentity;
}

/** The snapshots of a journal on disk: they are added to the history, or replace it. */
export class DiskSnapshots implements SnapshotStore {
  readonly #parts: SnapshotParts;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  get list(): readonly ListedSnapshot[] {
    return this.#parts.snapshots.listed;
  }

  async newest(atOrBefore?: ExactPosition): Promise<StoredSnapshot | undefined> {
    const { commit, snapshots, disk } = this.#parts;
    for (;;) {
      commit.assertOpen();
      const found = snapshots.newestUpTo(atOrBefore?.revision ?? Infinity);
      if (found === undefined) return undefined;
      const stored = storedSnapshot(disk, found);
      await stored.catch(() => undefined);
      // If it was dropped meanwhile, another one is the newest.
      if (snapshots.all.includes(found)) return stored;
    }
  }

  /**
   * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH if it shall be added and its position is not in the history
   */
  async create(header: SnapshotHeader, { replace = false, diverged }: SnapshotOptions = {}): Promise<SnapshotWriter> {
    this.#parts.commit.assertOpen();
    if (!replace) this.#assertOurs(header);
    const generation = replace ? this.#parts.history.generation + 1 : this.#parts.history.generation;
    return this.#parts.snapshots.begin(header, generation, (file, temporaryPath, moved) =>
      replace ? this.#replace(file, temporaryPath, { moved, diverged }) : this.#publish(file, temporaryPath),
    );
  }

  #assertOurs(header: SnapshotHeader): void {
    const { stream } = this.#parts.commit;
    if (stream !== undefined && stream !== header.stream) {
      throw new EvertreeError('STREAM_MISMATCH', `a snapshot of the stream ${header.stream} can't stand beside the stream ${stream}`, {
        expected: stream,
        found: header.stream,
      });
    }
    const { revision } = header.position;
    if (revision < this.#parts.history.base.revision || revision > this.#parts.commit.last.revision) throw this.#notOurs(header.position);
  }

  #notOurs(position: ExactPosition): EvertreeError {
    const { base } = this.#parts.history;
    const { last } = this.#parts.commit;
    const problem = `${formatExactPosition(position)} is not a position of this journal, which goes from ${formatExactPosition(base)} to ${formatExactPosition(last)}`;
    return new EvertreeError('HISTORY_MISMATCH', problem, { expected: last, found: position });
  }

  async #publish(file: SnapshotFile, temporaryPath: string): Promise<void> {
    const { position } = file.header;
    // If frames before the snapshot were not stable, a power loss could leave a hole before it.
    if (position.revision > this.#parts.history.stable.revision) await this.#parts.commit.flush();
    await this.#parts.retainer.exclusively(async () => {
      this.#assertOpen();
      if (file.generation !== this.#parts.history.generation || !(await this.#holds(position))) throw this.#notOurs(position);
      await this.#parts.disk.rename(temporaryPath, file.path);
      await this.#parts.disk.syncDirectory(SNAPSHOT_DIRECTORY);
      this.#parts.snapshots.add(file, this.#parts.clock.now());
    });
  }

  async #holds(position: ExactPosition): Promise<boolean> {
    return (
      samePosition(position, this.#parts.history.base) || (await findFrame(this.#parts.disk, this.#parts.history, position)) !== undefined
    );
  }

  async #replace(file: SnapshotFile, temporaryPath: string, { moved, diverged }: Replacement): Promise<void> {
    const { commit, retainer } = this.#parts;
    await commit.suspend('a snapshot takes the place of this history');
    const progress = { switched: false };
    try {
      await retainer.exclusively(async () => {
        this.#assertOpen();
        if (file.generation !== this.#parts.history.generation + 1) throw this.#notOurs(file.header.position);
        if (diverged !== undefined) await this.#keep(diverged);
        await this.#parts.identity.forgetClosing();
        await this.#switchTo(file, temporaryPath, progress, moved);
      });
    } catch (error) {
      // After the rename nobody knows which of the two histories the directory holds: the site has to recover.
      if (progress.switched) commit.fail(error);
      commit.resume();
      throw error;
    }
    commit.resume();
  }

  /** What the snapshot does not hold is kept before anything of it is touched. */
  async #keep({ fork, keep }: NonNullable<Replacement['diverged']>): Promise<void> {
    const { commit } = this.#parts;
    // Pending frames could not be handed out.
    if (commit.state === 'full') {
      const problem = 'there is no room on the disk for the commits that a snapshot is to replace; make room, then try again';
      throw new EvertreeError('STORAGE_FULL', problem, {}, commit.failure);
    }
    const isHere = fork.revision < this.#parts.history.base.revision || (await this.#holds(fork));
    const divergence = divergedAfter(this.#parts, isHere ? fork : this.#parts.history.base);
    if (divergence !== undefined) await keep(divergence);
    this.#assertOpen();
  }

  /**
   * From the rename on, the higher generation of the snapshot voids all other files. Recovery removes those that a
   * crash left.
   */
  async #switchTo(
    file: SnapshotFile,
    temporaryPath: string,
    progress: { switched: boolean },
    moved: (() => void) | undefined,
  ): Promise<void> {
    const { disk, history, snapshots, commit } = this.#parts;
    const { position, stream } = file.header;
    await disk.rename(temporaryPath, file.path);
    progress.switched = true;
    await disk.syncDirectory(SNAPSHOT_DIRECTORY);
    await history.close(false);
    // In one step: whoever looks at the positions or reads the log finds the tree there, too.
    const dropped = [...history.replace(position, file.generation), ...snapshots.replaceAll(file)];
    commit.restart({ last: position, stream });
    moved?.();
    await removeFiles(
      disk,
      dropped.map(old => old.path),
    );
    await disk.syncDirectory(SEGMENT_DIRECTORY);
    await disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }

  #assertOpen(): void {
    if (this.#parts.commit.state === 'closed') throw journalClosed();
  }
}
