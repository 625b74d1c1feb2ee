import type {
  Disk,
  ExactPosition,
  Frame,
  FrameHeader,
  FrameReader,
  Identity,
  Journal,
  JournalState,
  RetentionStatus,
  Role,
  SnapshotHeader,
  SnapshotWriter,
  StoredSnapshot,
} from '@evertree/core';
import { journalClosed } from './groups/failure.ts';
import type { FindOptions } from './segments/found.ts';
import type { GroupCommit } from './groups/group-commit.ts';
import type { History } from './segments/history.ts';
import { findFrame, HistoryReader } from './segments/history-reader.ts';
import type { Peers } from './site/peers.ts';
import type { Retainer } from './retention/retainer.ts';
import { writeSite } from './site/site-file.ts';
import { storedSnapshot } from './snapshots/snapshot-file.ts';
import type { Snapshots } from './snapshots/snapshots.ts';
import type { SnapshotPublisher } from './snapshots/snapshot-publisher.ts';

/** What an open journal is made of. */
export interface JournalParts {
  readonly disk: Disk;
  readonly lock: AsyncDisposable;
  readonly mark: string;
  readonly identity: Identity;
  readonly history: History;
  readonly commit: GroupCommit;
  readonly snapshots: Snapshots;
  readonly peers: Peers;
  readonly retainer: Retainer;
  readonly publisher: SnapshotPublisher;
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
    return this.#parts.publisher.begin(header, options.replace === true);
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
}
