import type {
  Clock,
  Disk,
  ExactPosition,
  Frame,
  FrameHeader,
  FrameReader,
  Identity,
  Journal,
  JournalState,
  Reporter,
  Role,
  SnapshotHeader,
  SnapshotWriter,
  StoredSnapshot,
} from '@evertree/core';
import { EvertreeError, samePosition } from '@evertree/core';
import { describe } from './follow.ts';
import { journalClosed } from './failure.ts';
import type { FindOptions } from './found.ts';
import type { GroupCommit } from './group-commit.ts';
import type { History } from './history.ts';
import { findFrame, HistoryReader } from './history-reader.ts';
import { SEGMENT_DIRECTORY, SNAPSHOT_DIRECTORY } from './layout.ts';
import type { Peers } from './peers.ts';
import type { Retainer, RetentionStatus } from './retainer.ts';
import { writeSite } from './site-file.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import { storedSnapshot } from './snapshot-file.ts';
import type { Snapshots } from './snapshots.ts';
import { removeFiles } from './snapshots.ts';

/** What an open journal is made of. */
export interface JournalParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly report: Reporter;
  readonly lock: AsyncDisposable;
  readonly mark: string;
  readonly identity: Identity;
  readonly history: History;
  readonly commit: GroupCommit;
  readonly snapshots: Snapshots;
  readonly peers: Peers;
  readonly retainer: Retainer;
}

/** A site's history in a directory; DESIGN.md tells how, FORMAT.md what the files hold. */
export class DiskJournal implements Journal {
  readonly durable = true;
  readonly #parts: JournalParts;
  #identity: Identity;
  #closed: Promise<void> | undefined;

  /** Made by `openJournal`. */
  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.#identity = parts.identity;
  }

  get identity(): Identity {
    return this.#identity;
  }

  async setRole(role: Role): Promise<void> {
    await this.#parts.retainer.exclusively(async () => {
      this.#assertOpen();
      const identity = { site: this.#identity.site, role };
      await writeSite(this.#parts.disk, { ...identity, directory: this.#parts.mark });
      this.#identity = identity;
    });
  }

  get state(): JournalState {
    return this.#parts.commit.state;
  }

  get failure(): Error | undefined {
    return this.#parts.commit.failure;
  }

  get base(): ExactPosition {
    return this.#parts.history.base;
  }

  get last(): ExactPosition {
    return this.#parts.commit.last;
  }

  get stable(): ExactPosition {
    return this.#parts.history.stable;
  }

  get pendingBytes(): number {
    return this.#parts.commit.pendingBytes;
  }

  get storedBytes(): number {
    return this.#parts.retainer.storedBytes;
  }

  get busy(): boolean {
    return this.#parts.commit.busy;
  }

  /** How much the history takes, how much it may, and who it is getting short for. */
  get retention(): RetentionStatus {
    return this.#parts.retainer.status;
  }

  append(frame: Frame, trailer?: Uint8Array): void {
    this.#parts.commit.append(frame, trailer?.length === 0 ? undefined : trailer);
  }

  flushSync(): void {
    this.#parts.commit.flushSync();
  }

  flush(): Promise<void> {
    return this.#parts.commit.flush();
  }

  onProgress(listener: () => void): Disposable {
    return this.#parts.commit.events.on('progress', listener);
  }

  read(position: ExactPosition): FrameReader {
    this.#assertOpen();
    return new HistoryReader(this.#parts.disk, this.#parts.history, this.#parts.commit, position);
  }

  async find(position: ExactPosition, options?: FindOptions): Promise<FrameHeader | undefined> {
    this.#assertOpen();
    return findFrame(this.#parts.disk, this.#parts.history, position, options);
  }

  async newestSnapshot(): Promise<StoredSnapshot | undefined> {
    this.#assertOpen();
    const { newest } = this.#parts.snapshots;
    return newest === undefined ? undefined : storedSnapshot(this.#parts.disk, newest);
  }

  async createSnapshot(header: SnapshotHeader, options: { readonly replace?: boolean } = {}): Promise<SnapshotWriter> {
    this.#assertOpen();
    const { snapshots, history } = this.#parts;
    const replace = options.replace === true;
    if (!replace) this.#assertOurs(header);
    const generation = replace ? history.generation + 1 : history.generation;
    return snapshots.begin(header, generation, (file, temporaryPath) =>
      replace ? this.#replace(file, temporaryPath) : this.#publish(file, temporaryPath),
    );
  }

  get peers(): ReadonlyMap<string, ExactPosition> {
    return this.#parts.peers.all;
  }

  setPeer(site: string, durable: ExactPosition): void {
    this.#parts.peers.set(site, durable);
  }

  forgetPeer(site: string): boolean {
    return this.#parts.peers.forget(site);
  }

  async retain(): Promise<void> {
    this.#assertOpen();
    await this.#parts.retainer.retain();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { commit, history, peers, retainer, lock } = this.#parts;
    const failed = commit.state === 'failed';
    await commit.close();
    try {
      await retainer.close();
      await peers.close();
      // A file that failed is not touched again.
      await history.close(!failed);
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw journalClosed();
  }

  /** A snapshot beside the history has to be of a position in it. */
  #assertOurs(header: SnapshotHeader): void {
    const { commit, history } = this.#parts;
    if (commit.stream !== undefined && commit.stream !== header.stream) {
      throw new EvertreeError(
        'STREAM_MISMATCH',
        `a snapshot of the stream ${header.stream} can't stand beside the stream ${commit.stream}`,
        {
          expected: commit.stream,
          found: header.stream,
        },
      );
    }
    const { revision } = header.position;
    if (revision < history.base.revision || revision > commit.last.revision) throw this.#notOurs(header.position);
  }

  #notOurs(position: ExactPosition): EvertreeError {
    const { base, last } = this;
    const problem = `${describe(position)} is not a position of this journal, which goes from ${describe(base)} to ${describe(last)}`;
    return new EvertreeError('HISTORY_MISMATCH', problem, { expected: last, found: position });
  }

  async #publish(file: SnapshotFile, temporaryPath: string): Promise<void> {
    const { commit, history, snapshots, retainer, disk, clock } = this.#parts;
    const { position } = file.header;
    // A snapshot that is newer than the frames on the disk would leave a hole behind it after a power loss.
    if (position.revision > history.stable.revision) await commit.flush();
    await retainer.exclusively(async () => {
      this.#assertOpen();
      const isOurs =
        file.generation === history.generation &&
        (samePosition(position, history.base) || (await findFrame(disk, history, position)) !== undefined);
      if (!isOurs) throw this.#notOurs(position);
      await snapshots.publish(file, temporaryPath);
      snapshots.add(file, clock.now());
    });
  }

  /** From the rename on the snapshot's higher generation voids all that was there; recovery removes what a crash leaves of it. */
  async #replace(file: SnapshotFile, temporaryPath: string): Promise<void> {
    const { commit, retainer } = this.#parts;
    const { position, stream } = file.header;
    await commit.suspend();
    const progress = { switched: false };
    try {
      await retainer.exclusively(() => this.#switchTo(file, temporaryPath, progress));
    } catch (error) {
      // Behind the rename there is no way back, and no certainty; the directory holds one of the two histories.
      if (progress.switched) commit.fail(error);
      commit.resume(undefined);
      throw error;
    }
    commit.resume({ last: position, stream });
  }

  async #switchTo(file: SnapshotFile, temporaryPath: string, progress: { switched: boolean }): Promise<void> {
    const { history, snapshots, disk } = this.#parts;
    const { position } = file.header;
    this.#assertOpen();
    if (file.generation !== history.generation + 1) throw this.#notOurs(position);
    await disk.rename(temporaryPath, file.path);
    progress.switched = true;
    await disk.syncDirectory(SNAPSHOT_DIRECTORY);
    const dropped = [...(await history.replace(position, file.generation)), ...snapshots.replaceAll(file)];
    await removeFiles(
      disk,
      dropped.map(old => old.path),
    );
    await disk.syncDirectory(SEGMENT_DIRECTORY);
    await disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }
}
