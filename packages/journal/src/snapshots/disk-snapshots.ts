import type { Clock, Disk, ExactPosition, SnapshotHeader, SnapshotStore, SnapshotWriter, StoredSnapshot } from '@evertree/core';
import { EvertreeError, formatExactPosition, samePosition } from '@evertree/core';
import { journalClosed } from '../groups/failure.ts';
import type { GroupCommit } from '../groups/group-commit.ts';
import type { SegmentList } from '../segments/segment-list.ts';
import { findFrame } from '../segments/frame-search.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from '../site/layout.ts';
import type { Retainer } from '../retention/retainer.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import { storedSnapshot } from './snapshot-file.ts';
import type { SnapshotList } from './snapshot-list.ts';
import { removeFiles } from '../disk/removal.ts';

/** The snapshots of a journal on disk: they are added to the history, or replace it. */
export class DiskSnapshots implements SnapshotStore {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #history: SegmentList;
  readonly #commit: GroupCommit;
  readonly #snapshots: SnapshotList;
  readonly #retainer: Retainer;

  constructor(parts: { disk: Disk; clock: Clock; history: SegmentList; commit: GroupCommit; snapshots: SnapshotList; retainer: Retainer }) {
    this.#disk = parts.disk;
    this.#clock = parts.clock;
    this.#history = parts.history;
    this.#commit = parts.commit;
    this.#snapshots = parts.snapshots;
    this.#retainer = parts.retainer;
  }

  async newest(atOrBefore?: ExactPosition): Promise<StoredSnapshot | undefined> {
    this.#commit.assertOpen();
    const found = this.#snapshots.newestUpTo(atOrBefore?.revision ?? Infinity);
    return found === undefined ? undefined : storedSnapshot(this.#disk, found);
  }

  /**
   * @throws EvertreeError STREAM_MISMATCH, HISTORY_MISMATCH if it shall be added and its position is not in the history
   */
  async create(header: SnapshotHeader, { replace = false }: { readonly replace?: boolean } = {}): Promise<SnapshotWriter> {
    this.#commit.assertOpen();
    if (!replace) this.#assertOurs(header);
    const generation = replace ? this.#history.generation + 1 : this.#history.generation;
    return this.#snapshots.begin(header, generation, (file, temporaryPath, moved) =>
      replace ? this.#replace(file, temporaryPath, moved) : this.#publish(file, temporaryPath),
    );
  }

  #assertOurs(header: SnapshotHeader): void {
    const { stream } = this.#commit;
    if (stream !== undefined && stream !== header.stream) {
      throw new EvertreeError('STREAM_MISMATCH', `a snapshot of the stream ${header.stream} can't stand beside the stream ${stream}`, {
        expected: stream,
        found: header.stream,
      });
    }
    const { revision } = header.position;
    if (revision < this.#history.base.revision || revision > this.#commit.last.revision) throw this.#notOurs(header.position);
  }

  #notOurs(position: ExactPosition): EvertreeError {
    const { base } = this.#history;
    const { last } = this.#commit;
    const problem = `${formatExactPosition(position)} is not a position of this journal, which goes from ${formatExactPosition(base)} to ${formatExactPosition(last)}`;
    return new EvertreeError('HISTORY_MISMATCH', problem, { expected: last, found: position });
  }

  async #publish(file: SnapshotFile, temporaryPath: string): Promise<void> {
    const { position } = file.header;
    // If frames before the snapshot were not stable, a power loss could leave a hole before it.
    if (position.revision > this.#history.stable.revision) await this.#commit.flush();
    await this.#retainer.exclusively(async () => {
      this.#assertOpen();
      if (file.generation !== this.#history.generation || !(await this.#holds(position))) throw this.#notOurs(position);
      await this.#disk.rename(temporaryPath, file.path);
      await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
      this.#snapshots.add(file, this.#clock.now());
    });
  }

  async #holds(position: ExactPosition): Promise<boolean> {
    return samePosition(position, this.#history.base) || (await findFrame(this.#disk, this.#history, position)) !== undefined;
  }

  async #replace(file: SnapshotFile, temporaryPath: string, moved: (() => void) | undefined): Promise<void> {
    await this.#commit.suspend('a snapshot takes the place of this history');
    const progress = { switched: false, moved };
    try {
      await this.#retainer.exclusively(() => this.#switchTo(file, temporaryPath, progress));
    } catch (error) {
      // After the rename nobody knows which of the two histories the directory holds: the site has to recover.
      if (progress.switched) this.#commit.fail(error);
      this.#commit.resume();
      throw error;
    }
    this.#commit.resume();
  }

  /**
   * From the rename on, the higher generation of the snapshot voids all other files. Recovery removes those that a
   * crash left.
   */
  async #switchTo(
    file: SnapshotFile,
    temporaryPath: string,
    progress: { switched: boolean; readonly moved: (() => void) | undefined },
  ): Promise<void> {
    const { position, stream } = file.header;
    this.#assertOpen();
    if (file.generation !== this.#history.generation + 1) throw this.#notOurs(position);
    await this.#disk.rename(temporaryPath, file.path);
    progress.switched = true;
    await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
    await this.#history.close(false);
    // In one step: whoever looks at the positions or reads the log finds the tree there, too.
    const dropped = [...this.#history.replace(position, file.generation), ...this.#snapshots.replaceAll(file)];
    this.#commit.restart({ last: position, stream });
    progress.moved?.();
    await removeFiles(
      this.#disk,
      dropped.map(old => old.path),
    );
    await this.#disk.syncDirectory(SEGMENT_DIRECTORY);
    await this.#disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }

  #assertOpen(): void {
    if (this.#commit.state === 'closed') throw journalClosed();
  }
}
