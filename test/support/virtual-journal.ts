import type {
  Clock,
  EpochName,
  ExactPosition,
  Fencing,
  Journal,
  Lease,
  LeaseKind,
  Leases,
  ListedSnapshot,
  Retention,
  Role,
  SiteIdentity,
  SnapshotHeader,
  SnapshotOptions,
  SnapshotStore,
  SnapshotWriter,
  StoredSnapshot,
} from '@evertree/core';
import { DECLINED_LIMIT, EvertreeError, raiseFencing, raiseHeard, samePosition } from '@evertree/core';
import { VirtualDivergences } from './virtual-divergences.ts';
import { notOurs, storedSnapshot, VirtualLog, type VirtualStorage } from './virtual-log.ts';

/**
 * A journal on a virtual clock, for schedules: each group takes `syncMs` to become stable, and a crash keeps what was.
 * It has no files, so what it can't show is how files tear; the journal's own suites do that. It passes the conformance
 * suite of journals.
 */
export class VirtualJournal implements Journal {
  readonly log: VirtualLog;
  readonly snapshots: VirtualSnapshots;
  readonly identity: SiteIdentity;
  readonly divergences: VirtualDivergences;
  readonly leases: Leases;
  readonly retention: Retention;
  readonly #storage: VirtualStorage;

  constructor(site: string, storage: VirtualStorage, clock: Clock) {
    this.#storage = storage;
    this.log = new VirtualLog(storage, clock);
    this.snapshots = new VirtualSnapshots(storage, this.log);
    this.identity = new VirtualIdentity(site, storage, this.log);
    this.divergences = new VirtualDivergences(storage.divergences, this.log);
    this.leases = new VirtualLeases(storage, this.log);
    this.retention = { storedBytes: 0, status: undefined, freeBytes: async () => undefined, apply: async () => this.log.assertOpen() };
  }

  set syncMs(syncMs: number) {
    this.log.syncMs = syncMs;
  }

  /** Snapshots begun and neither committed nor aborted, and the most there were at once. */
  get unfinished(): number {
    return this.snapshots.unfinished;
  }

  get mostUnfinished(): number {
    return this.snapshots.mostUnfinished;
  }

  /** As the limit on its size would: drops all frames before the newest snapshot, whoever needs them. */
  compact(): void {
    const { snapshot, frames } = this.#storage;
    if (snapshot === undefined) return;
    this.#storage.base = snapshot.header.position;
    this.#storage.frames = frames.filter(each => each.frame.header.last.revision > snapshot.header.position.revision);
  }

  /** Drops the frames that end at or before a revision: what is left begins before a snapshot. */
  compactTo(revision: number): void {
    const dropped = this.#storage.frames.filter(each => each.frame.header.last.revision <= revision);
    this.#storage.base = dropped.at(-1)?.frame.header.last ?? this.#storage.base;
    this.#storage.frames = this.#storage.frames.slice(dropped.length);
  }

  setFull(full: boolean): void {
    this.log.setFull(full);
  }

  crash(): void {
    this.log.crash();
  }

  async close(): Promise<void> {
    this.log.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class VirtualSnapshots implements SnapshotStore {
  unfinished = 0;
  mostUnfinished = 0;
  readonly #storage: VirtualStorage;
  readonly #log: VirtualLog;

  constructor(storage: VirtualStorage, log: VirtualLog) {
    this.#storage = storage;
    this.#log = log;
  }

  get list(): readonly ListedSnapshot[] {
    return this.#storage.snapshots
      .map(storedSnapshot)
      .map(({ header: { position, digest, time }, bytes }) => ({ position, digest, time, bytes }));
  }

  async newest(atOrBefore?: ExactPosition): Promise<StoredSnapshot | undefined> {
    this.#log.assertOpen();
    const limit = atOrBefore?.revision ?? Infinity;
    const found = this.#storage.snapshots.findLast(({ header }) => header.position.revision <= limit);
    return found === undefined ? undefined : storedSnapshot(found);
  }

  async create(header: SnapshotHeader, { replace = false, diverged }: SnapshotOptions = {}): Promise<SnapshotWriter> {
    this.#log.assertOpen();
    const chunks: Uint8Array[] = [];
    let isOpen = true;
    const assertOpen = () => {
      if (!isOpen) throw new EvertreeError('CLOSED', 'this snapshot was committed or aborted already');
    };
    const end = () => {
      isOpen = false;
      this.unfinished -= 1;
    };
    this.unfinished += 1;
    this.mostUnfinished = Math.max(this.mostUnfinished, this.unfinished);
    return {
      write: async chunk => {
        assertOpen();
        chunks.push(Uint8Array.from(chunk));
        await this.#log.sync();
      },
      commit: async moved => {
        assertOpen();
        this.#log.assertOpen();
        await this.#log.sync();
        end();
        if (!replace) await this.#assertOurs(header.position);
        if (diverged !== undefined) await this.#log.keepDiverged(diverged);
        const others = replace ? [] : this.#storage.snapshots.filter(each => !samePosition(each.header.position, header.position));
        this.#storage.snapshots = [...others, { header, chunks }];
        if (replace) this.#log.replace(header, moved);
      },
      abort: async () => {
        if (!isOpen) return;
        await this.#log.sync();
        end();
      },
    };
  }

  async #assertOurs(position: ExactPosition): Promise<void> {
    if (position.revision > this.#log.last.revision) throw notOurs(position, this.#log.last);
    if (position.revision > this.#log.stable.revision) await this.#log.flush();
    const isHere = samePosition(position, this.#log.base) || (await this.#log.find(position)) !== undefined;
    if (!isHere) throw notOurs(position, this.#log.last);
  }
}

class VirtualIdentity implements SiteIdentity {
  readonly site: string;
  readonly #storage: VirtualStorage;
  readonly #log: VirtualLog;

  constructor(site: string, storage: VirtualStorage, log: VirtualLog) {
    this.site = site;
    this.#storage = storage;
    this.#log = log;
  }

  get role(): Role {
    return this.#storage.role;
  }

  get fencedBy(): Fencing | undefined {
    return this.#storage.fencedBy;
  }

  get heard(): EpochName | undefined {
    return this.#storage.heard;
  }

  async setRole(role: Role): Promise<void> {
    this.#log.assertOpen();
    this.#storage.role = role;
  }

  get declined(): ReadonlySet<string> {
    return new Set(this.#storage.declined);
  }

  async fence(fencing: Fencing): Promise<void> {
    this.#log.assertOpen();
    this.#storage.fencedBy = raiseFencing(this.#storage.fencedBy, fencing) ?? this.#storage.fencedBy;
  }

  async hear(epoch: EpochName): Promise<void> {
    this.#log.assertOpen();
    this.#storage.heard = raiseHeard(this.#storage.heard, epoch) ?? this.#storage.heard;
  }

  async decline(command: string): Promise<void> {
    this.#log.assertOpen();
    this.#storage.declined = [...new Set([...this.#storage.declined, command])].slice(-DECLINED_LIMIT);
  }
}

class VirtualLeases implements Leases {
  readonly #storage: VirtualStorage;
  readonly #log: VirtualLog;

  constructor(storage: VirtualStorage, log: VirtualLog) {
    this.#storage = storage;
    this.#log = log;
  }

  of(kind: LeaseKind): ReadonlyMap<string, Lease> {
    return this.#storage.leases[kind];
  }

  hold(kind: LeaseKind, name: string, position: ExactPosition, expiresAt?: number): void {
    if (this.#log.state !== 'closed') this.#storage.leases[kind].set(name, { position, expiresAt });
  }

  release(kind: LeaseKind, name: string): boolean {
    return this.#storage.leases[kind].delete(name);
  }

  async flush(): Promise<void> {
    this.#log.assertOpen();
  }
}
