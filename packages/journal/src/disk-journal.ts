import type { FrameLog, Journal, SnapshotStore } from '@evertree/core';
import type { DiskDivergences } from './divergences/disk-divergences.ts';
import type { GroupCommit } from './groups/group-commit.ts';
import type { DiskLeases } from './leases/disk-leases.ts';
import type { Retainer } from './retention/retainer.ts';
import type { SegmentList } from './segments/segment-list.ts';
import type { DiskIdentity } from './site/disk-identity.ts';

/** The parts of an open journal. */
export interface JournalParts {
  readonly log: FrameLog;
  readonly snapshots: SnapshotStore;
  readonly identity: DiskIdentity;
  readonly divergences: DiskDivergences;
  readonly leases: DiskLeases;
  readonly retention: Retainer;
  readonly history: SegmentList;
  readonly commit: GroupCommit;
  readonly lock: AsyncDisposable;
}

/** A site's history in a directory; DESIGN.md tells how, FORMAT.md what the files hold. */
export class DiskJournal implements Journal {
  readonly log: FrameLog;
  readonly snapshots: SnapshotStore;
  readonly identity: DiskIdentity;
  readonly divergences: DiskDivergences;
  readonly leases: DiskLeases;
  readonly retention: Retainer;
  readonly #history: SegmentList;
  readonly #commit: GroupCommit;
  readonly #lock: AsyncDisposable;
  #closed: Promise<void> | undefined;

  /** Only `openJournal` makes one. */
  constructor(parts: JournalParts) {
    this.log = parts.log;
    this.snapshots = parts.snapshots;
    this.identity = parts.identity;
    this.divergences = parts.divergences;
    this.leases = parts.leases;
    this.retention = parts.retention;
    this.#history = parts.history;
    this.#commit = parts.commit;
    this.#lock = parts.lock;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // The last writes may fail, too.
    await this.#commit.close();
    const failed = this.#commit.hasFailed;
    try {
      await this.retention.close();
      await this.divergences.close();
      await this.leases.close();
      // After a failed write or sync nobody writes to that file again.
      await this.#history.close(!failed);
      if (!failed && this.log.pendingBytes === 0) await this.identity.closeAt(this.log.stable);
    } finally {
      await this.#lock[Symbol.asyncDispose]();
    }
  }
}
