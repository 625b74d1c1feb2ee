import { Emitter, EvertreeError, ORIGIN, samePosition } from '@evertree/core';
import type {
  Clock,
  ExactPosition,
  Frame,
  FrameHeader,
  FrameLog,
  FrameReader,
  Journal,
  JournalState,
  Lease,
  LeaseKind,
  Leases,
  Retention,
  Role,
  SiteIdentity,
  SnapshotHeader,
  SnapshotStore,
  SnapshotWriter,
  StoredFrame,
  StoredSnapshot,
} from '@evertree/core';

interface Keep {
  readonly header: SnapshotHeader;
  readonly chunks: readonly Uint8Array[];
}

/** What survives a crash. */
export class VirtualStorage {
  role: Role = 'primary';
  base: ExactPosition = ORIGIN;
  frames: StoredFrame[] = [];
  snapshot: Keep | undefined;
  leases = new Map<string, Lease>();
}

class VirtualLog implements FrameLog {
  readonly durable = true;
  readonly failure = undefined;
  state: JournalState = 'open';
  /** Milliseconds of virtual time that a group takes. */
  syncMs = 1;
  readonly #storage: VirtualStorage;
  readonly #clock: Clock;
  readonly #events = new Emitter<{ progress: () => void }>(() => undefined);
  #pending: StoredFrame[] = [];
  #writing = 0;

  constructor(storage: VirtualStorage, clock: Clock) {
    this.#storage = storage;
    this.#clock = clock;
  }

  get base(): ExactPosition {
    return this.#storage.base;
  }

  get last(): ExactPosition {
    return this.#pending.at(-1)?.frame.header.last ?? this.stable;
  }

  get stable(): ExactPosition {
    return this.#storage.frames.at(-1)?.frame.header.last ?? this.base;
  }

  get pendingBytes(): number {
    return this.#pending.reduce((sum, stored) => sum + stored.frame.bytes.length, 0);
  }

  get busy(): boolean {
    return this.#writing > 0;
  }

  append(frame: Frame, trailer?: Uint8Array): void {
    if (!samePosition(frame.header.base, this.last)) throw new EvertreeError('HISTORY_MISMATCH', 'a frame does not follow');
    this.#pending.push({ frame, trailer });
    this.#write();
  }

  flushSync(): void {
    if (this.state === 'full') return;
    this.#storage.frames.push(...this.#pending.splice(0));
    this.#writing = 0;
    this.#events.emit('progress');
  }

  async flush(): Promise<void> {
    const { last } = this;
    while (this.stable.revision < last.revision) {
      if (this.state === 'closed') throw new EvertreeError('CLOSED', 'the journal is closed');
      await new Promise<void>(resolve => {
        const once = this.onProgress(() => {
          once[Symbol.dispose]();
          resolve();
        });
      });
    }
  }

  onProgress(listener: () => void): Disposable {
    return this.#events.on('progress', listener);
  }

  read(position: ExactPosition): FrameReader {
    let next = position.revision;
    const assertKept = (): void => {
      if (next < this.base.revision) throw new EvertreeError('COMPACTED', `the journal begins after ${this.base.revision}`);
    };
    assertKept();
    return {
      next: async () => {
        await Promise.resolve();
        assertKept();
        const stored = this.#storage.frames.find(each => each.frame.header.last.revision > next);
        if (stored !== undefined) next = stored.frame.header.last.revision;
        return stored;
      },
      close: () => Promise.resolve(),
    };
  }

  async find(position: ExactPosition): Promise<FrameHeader | undefined> {
    await Promise.resolve();
    return this.#storage.frames.find(each => samePosition(each.frame.header.last, position))?.frame.header;
  }

  /** Begins anew from a snapshot. */
  replace(base: ExactPosition): void {
    this.#storage.base = base;
    this.#storage.frames = [];
    this.#pending = [];
    this.#writing = 0;
    this.#events.emit('progress');
  }

  /** The disk has no room, or has room again. */
  setFull(full: boolean): void {
    this.state = full ? 'full' : 'open';
    this.#events.emit('progress');
    if (!full) this.#write();
  }

  /** The process is gone: what was not stable is lost. */
  crash(): void {
    this.state = 'closed';
    this.#pending = [];
  }

  close(): void {
    this.state = 'closed';
    this.#events.emit('progress');
  }

  #write(): void {
    if (this.#writing > 0 || this.#pending.length === 0 || this.state !== 'open') return;
    const group = this.#pending.slice();
    this.#writing = group.length;
    this.#clock.after(this.syncMs, () => {
      if (this.state === 'closed' || this.#pending[0] !== group[0]) return;
      this.#writing = 0;
      if (this.state === 'full') return;
      this.#storage.frames.push(...this.#pending.splice(0, group.length));
      this.#events.emit('progress');
      this.#write();
    });
  }

  /** Resolves when a sync has ended. In a crashed process nothing ever comes back from the disk. */
  sync(): Promise<void> {
    return new Promise(resolve => {
      this.#clock.after(this.syncMs, () => {
        if (this.state !== 'closed') resolve();
      });
    });
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

  newest(): Promise<StoredSnapshot | undefined> {
    const { snapshot } = this.#storage;
    if (snapshot === undefined) return Promise.resolve(undefined);
    return Promise.resolve({
      header: snapshot.header,
      bytes: 0,
      async *chunks() {
        yield* snapshot.chunks;
      },
    });
  }

  create(header: SnapshotHeader, options?: { readonly replace?: boolean }): Promise<SnapshotWriter> {
    const chunks: Uint8Array[] = [];
    this.unfinished += 1;
    this.mostUnfinished = Math.max(this.mostUnfinished, this.unfinished);
    return Promise.resolve({
      write: async chunk => {
        chunks.push(Uint8Array.from(chunk));
        await this.#log.sync();
      },
      commit: async () => {
        await this.#log.sync();
        this.unfinished -= 1;
        this.#storage.snapshot = { header, chunks };
        if (options?.replace === true) this.#log.replace(header.position);
      },
      abort: async () => {
        await this.#log.sync();
        this.unfinished -= 1;
      },
    });
  }
}

/**
 * A journal on a virtual clock, for schedules: each group takes `syncMs` to become stable, and a crash keeps what was. It has no
 * files, so what it can't show is how files tear; the journal's own suites do that.
 */
export class VirtualJournal implements Journal {
  readonly log: VirtualLog;
  readonly snapshots: VirtualSnapshots;
  readonly identity: SiteIdentity;
  readonly leases: Leases;
  readonly retention: Retention = { storedBytes: 0, status: undefined, apply: () => Promise.resolve() };
  readonly #storage: VirtualStorage;

  constructor(site: string, storage: VirtualStorage, clock: Clock) {
    this.#storage = storage;
    this.log = new VirtualLog(storage, clock);
    this.snapshots = new VirtualSnapshots(storage, this.log);
    this.identity = new VirtualIdentity(site, storage);
    this.leases = new VirtualLeases(storage, this.log);
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

  setFull(full: boolean): void {
    this.log.setFull(full);
  }

  crash(): void {
    this.log.crash();
  }

  close(): Promise<void> {
    this.log.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class VirtualIdentity implements SiteIdentity {
  readonly site: string;
  readonly #storage: VirtualStorage;

  constructor(site: string, storage: VirtualStorage) {
    this.site = site;
    this.#storage = storage;
  }

  get role(): Role {
    return this.#storage.role;
  }

  setRole(role: Role): Promise<void> {
    this.#storage.role = role;
    return Promise.resolve();
  }
}

class VirtualLeases implements Leases {
  readonly #storage: VirtualStorage;
  readonly #log: VirtualLog;

  constructor(storage: VirtualStorage, log: VirtualLog) {
    this.#storage = storage;
    this.#log = log;
  }

  of(_kind: LeaseKind): ReadonlyMap<string, Lease> {
    return this.#storage.leases;
  }

  hold(_kind: LeaseKind, name: string, position: ExactPosition): void {
    if (this.#log.state !== 'closed') this.#storage.leases.set(name, { position });
  }

  release(_kind: LeaseKind, name: string): boolean {
    return this.#storage.leases.delete(name);
  }
}
