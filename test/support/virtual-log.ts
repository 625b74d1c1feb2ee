import type {
  Clock,
  EpochName,
  ExactPosition,
  Fencing,
  Frame,
  FrameHeader,
  FrameLog,
  FrameReader,
  JournalState,
  Keep,
  Lease,
  LeaseKind,
  Role,
  SnapshotHeader,
  SnapshotOptions,
  StoredFrame,
  StoredSnapshot,
} from '@evertree/core';
import { Emitter, EvertreeError, ORIGIN, samePosition } from '@evertree/core';
import { strictReport } from './reports.ts';
import type { VirtualDivergence } from './virtual-divergences.ts';

const TRAILER_LIMIT_BYTES = 64 * 1024;

interface KeptSnapshot {
  readonly header: SnapshotHeader;
  readonly chunks: readonly Uint8Array[];
}

/** What survives a crash. */
export class VirtualStorage {
  role: Role = 'primary';
  fencedBy: Fencing | undefined;
  heard: EpochName | undefined;
  declined: readonly string[] = [];
  readonly divergences = new Map<string, VirtualDivergence>();
  stream: string | undefined;
  base: ExactPosition = ORIGIN;
  frames: StoredFrame[] = [];
  /** Oldest first. */
  snapshots: KeptSnapshot[] = [];
  readonly leases: Readonly<Record<LeaseKind, Map<string, Lease>>> = { peer: new Map(), copy: new Map(), backup: new Map() };

  /** The newest. */
  get snapshot(): KeptSnapshot | undefined {
    return this.snapshots.at(-1);
  }
}

export function storedSnapshot({ header, chunks }: KeptSnapshot): StoredSnapshot {
  return {
    header,
    bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    async *chunks() {
      yield* chunks;
    },
  };
}

/** The log of a `VirtualJournal`. */
export class VirtualLog implements FrameLog {
  readonly durable = true;
  readonly failure = undefined;
  state: JournalState = 'open';
  /** Milliseconds of virtual time that a group takes. */
  syncMs = 1;
  readonly #storage: VirtualStorage;
  readonly #clock: Clock;
  readonly #events = new Emitter<{ progress: () => void }>(strictReport);
  /** Appended, and not in the storage yet. */
  #pending: StoredFrame[] = [];
  /** How many of the pending frames are on their way. */
  #writing = 0;
  /** Counts replacements of the history. */
  #generation = 0;
  #isRewinding = false;

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
    this.assertOpen();
    const { last } = this;
    const { base, stream } = frame.header;
    if (this.#storage.stream !== undefined && this.#storage.stream !== stream) {
      throw new EvertreeError('STREAM_MISMATCH', 'a frame of another stream', { expected: this.#storage.stream, found: stream });
    }
    if (this.#isRewinding || !samePosition(base, last)) {
      throw new EvertreeError('HISTORY_MISMATCH', 'a frame does not follow', { expected: last, found: base });
    }
    if (trailer !== undefined && trailer.length > TRAILER_LIMIT_BYTES) throw new EvertreeError('TOO_LARGE', 'a trailer is too long');
    this.#storage.stream = stream;
    this.#pending.push({ frame, trailer });
    this.#write();
  }

  flushSync(): void {
    this.assertOpen();
    if (this.state === 'full') return;
    this.#storage.frames.push(...this.#pending.splice(0));
    this.#writing = 0;
    this.#events.emit('progress');
  }

  async flush(): Promise<void> {
    this.assertOpen();
    const { last } = this;
    while (this.stable.revision < last.revision) {
      await new Promise<void>(resolve => {
        const once = this.onProgress(() => {
          once[Symbol.dispose]();
          resolve();
        });
      });
      this.assertOpen();
    }
  }

  onProgress(listener: () => void): Disposable {
    return this.#events.on('progress', listener);
  }

  read(position: ExactPosition): FrameReader {
    this.assertOpen();
    const generation = this.#generation;
    let at = position;
    let ended = false;
    this.#assertReached(at, generation);
    return {
      next: async () => {
        await Promise.resolve();
        if (ended) throw closed();
        this.assertOpen();
        this.#assertReached(at, generation);
        const found = this.#after(at);
        if (found !== undefined) at = found.frame.header.last;
        return found;
      },
      close: async () => {
        ended = true;
      },
    };
  }

  async find(position: ExactPosition, { within = false }: { readonly within?: boolean } = {}): Promise<FrameHeader | undefined> {
    this.assertOpen();
    const header = this.#storage.frames.find(({ frame }) => frame.header.last.revision >= position.revision)?.frame.header;
    if (header === undefined || header.base.revision >= position.revision) return undefined;
    return samePosition(header.last, within ? { ...position, revision: header.last.revision } : position) ? header : undefined;
  }

  async findByTime(time: number): Promise<FrameHeader | undefined> {
    this.assertOpen();
    return this.#storage.frames.findLast(({ frame }) => frame.header.firstTime <= time)?.frame.header;
  }

  async rewind(position: ExactPosition, keep: Keep, moved?: () => void): Promise<void> {
    this.assertOpen();
    const storage = this.#storage;
    await this.#settle();
    this.#assertReached(position, this.#generation);
    if (!samePosition(position, this.base) && (await this.find(position)) === undefined) throw notOurs(position, this.stable);
    if (samePosition(position, this.stable)) return;
    if (this.base.revision > 0 && storage.snapshots.every(isAfter(position)))
      throw new EvertreeError('COMPACTED', 'no snapshot to begin with');
    await this.#keep(position, keep);
    storage.frames = storage.frames.filter(({ frame }) => frame.header.last.revision <= position.revision);
    storage.snapshots = storage.snapshots.filter(each => !isAfter(position)(each));
    if (samePosition(position, ORIGIN)) storage.stream = undefined;
    moved?.();
    this.#events.emit('progress');
  }

  /** @throws EvertreeError CLOSED */
  assertOpen(): void {
    if (this.state === 'closed') throw closed();
  }

  /**
   * Before a snapshot takes the history's place: keeps what the snapshot does not hold, while no frame is taken. The
   * caller calls `replace` in the same step.
   */
  async keepDiverged({ fork, keep }: NonNullable<SnapshotOptions['diverged']>): Promise<void> {
    await this.#settle();
    const isHere = fork.revision <= this.base.revision || (await this.find(fork)) !== undefined;
    const start = isHere ? fork : this.base;
    if (!samePosition(start, this.stable)) await this.#keep(start, keep);
  }

  /** Begins again from a snapshot; `moved` is called in the same step, before any listener. */
  replace({ position, stream }: SnapshotHeader, moved: (() => void) | undefined): void {
    this.#storage.base = position;
    this.#storage.frames = [];
    this.#storage.stream = stream;
    this.#pending = [];
    this.#writing = 0;
    this.#generation++;
    moved?.();
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

  /** Pending frames are lost: a test decides when its disk works. */
  close(): void {
    this.state = 'closed';
    this.#events.emit('progress');
  }

  /** Resolves when a sync has ended. In a crashed process nothing ever comes back from the disk. */
  sync(): Promise<void> {
    return new Promise(resolve => {
      this.#clock.after(this.syncMs, () => {
        if (this.state !== 'closed') resolve();
      });
    });
  }

  /** Resolves when nothing is pending. */
  async #settle(): Promise<void> {
    if (this.state === 'full') throw new EvertreeError('STORAGE_FULL', 'no room to cut the history back');
    await this.flush();
  }

  /** Hands out what follows `fork`, while no frame is taken, and takes a sync. */
  async #keep(fork: ExactPosition, keep: Keep): Promise<void> {
    const { base, stable } = this;
    if (fork.revision > stable.revision) throw notOurs(fork, stable);
    const first = fork.revision < base.revision ? base : fork;
    const { stream, frames } = this.#storage;
    const diverged = frames.filter(({ frame }) => frame.header.last.revision > first.revision);
    if (diverged[0] !== undefined && !samePosition(diverged[0].frame.header.base, first)) throw notOurs(fork, stable);
    this.#isRewinding = true;
    try {
      await keep({
        stream: stream!,
        base: fork,
        last: stable,
        missing: first === fork ? undefined : { base: fork, last: first },
        async *frames() {
          yield* diverged;
        },
      });
      await this.sync();
    } finally {
      this.#isRewinding = false;
    }
  }

  #assertReached(position: ExactPosition, generation: number): void {
    const { base } = this;
    if (position.revision >= base.revision && generation === this.#generation) return;
    throw new EvertreeError('COMPACTED', `the journal begins after ${base.revision}`, { base, position });
  }

  #after(position: ExactPosition): StoredFrame | undefined {
    const { stable } = this;
    if (position.revision > stable.revision && position.revision <= this.last.revision) return undefined;
    if (samePosition(position, stable)) return undefined;
    const found = this.#storage.frames.find(({ frame }) => samePosition(frame.header.base, position));
    if (found === undefined) throw notOurs(position, stable);
    return found;
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
}

function isAfter({ revision }: ExactPosition): (snapshot: KeptSnapshot) => boolean {
  return ({ header }) => header.position.revision > revision;
}

export function notOurs(position: ExactPosition, last: ExactPosition): EvertreeError {
  return new EvertreeError('HISTORY_MISMATCH', 'the position is not in this history', { expected: last, found: position });
}

function closed(): EvertreeError {
  return new EvertreeError('CLOSED', 'the journal is closed');
}
