import type {
  Clock,
  ExactPosition,
  Frame,
  FrameHeader,
  FrameReader,
  Identity,
  Journal,
  JournalState,
  Random,
  Reporter,
  Role,
  SnapshotHeader,
  SnapshotWriter,
  StoredFrame,
  StoredSnapshot,
} from '@evertree/core';
import { Emitter, EvertreeError, ORIGIN, samePosition } from '@evertree/core';
import { journalClosed } from './groups/failure.ts';
import { checkFollows, describe } from './groups/follow.ts';
import { isFound, type FindOptions } from './segments/found.ts';
import { FrameTail } from './segments/frame-tail.ts';
import type { JournalEvents } from './groups/group-commit.ts';
import { settleIdentity } from './site/site-file.ts';

/** Frames kept for secondaries; one that falls further behind gets a full copy. */
const MEMORY_JOURNAL_BYTES = 64 * 1024 * 1024;

export interface MemoryJournalArguments {
  readonly clock: Clock;
  readonly random: Random;
  readonly report: Reporter;
  readonly identity?: Partial<Identity>;
  readonly maxBytes?: number;
}

/**
 * A history that ends with its process: the newest frames, and no snapshots (the tree itself is what a secondary is copied from).
 * What is appended is stable at once, and durable never.
 */
export class MemoryJournal implements Journal {
  readonly durable = false;
  readonly failure = undefined;
  readonly pendingBytes = 0;
  readonly busy = false;
  readonly #clock: Clock;
  readonly #frames: FrameTail;
  readonly #events: Emitter<JournalEvents>;
  readonly #peers = new Map<string, ExactPosition>();
  #identity: Identity;
  #state: JournalState = 'open';
  #start: ExactPosition = ORIGIN;
  #last: ExactPosition = ORIGIN;
  #stream: string | undefined;
  /** Counts replacements, so that readers of a history before notice. */
  #generation = 0;
  #telling = false;

  constructor(given: MemoryJournalArguments) {
    this.#clock = given.clock;
    this.#identity = settleIdentity(undefined, given.identity ?? {}, given.random);
    this.#frames = new FrameTail(given.maxBytes ?? MEMORY_JOURNAL_BYTES);
    this.#events = new Emitter(given.report);
  }

  get identity(): Identity {
    return this.#identity;
  }

  async setRole(role: Role): Promise<void> {
    this.#assertOpen();
    this.#identity = { site: this.#identity.site, role };
  }

  get state(): JournalState {
    return this.#state;
  }

  get base(): ExactPosition {
    return this.#frames.oldest()?.frame.header.base ?? this.#start;
  }

  get last(): ExactPosition {
    return this.#last;
  }

  get stable(): ExactPosition {
    return this.#last;
  }

  /** Nothing is on a disk. */
  get storedBytes(): number {
    return 0;
  }

  append(frame: Frame, trailer?: Uint8Array): void {
    this.#assertOpen();
    checkFollows(frame, trailer, this.#last, this.#stream);
    this.#stream = frame.header.stream;
    this.#last = frame.header.last;
    this.#frames.push({ frame, trailer: trailer?.length === 0 ? undefined : trailer });
    // A frame that is longer than all that is kept leaves nothing.
    if (this.#frames.oldest() === undefined) this.#start = this.#last;
    this.#tellSoon();
  }

  flushSync(): void {
    this.#assertOpen();
  }

  async flush(): Promise<void> {
    this.#assertOpen();
  }

  onProgress(listener: () => void): Disposable {
    return this.#events.on('progress', listener);
  }

  read(position: ExactPosition): FrameReader {
    this.#assertOpen();
    const generation = this.#generation;
    let at = position;
    let ended = false;
    this.#assertReached(at, generation);
    return {
      next: async () => {
        if (ended) throw journalClosed();
        this.#assertOpen();
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

  async find(position: ExactPosition, options?: FindOptions): Promise<FrameHeader | undefined> {
    this.#assertOpen();
    const header = this.#frames.holding(position.revision)?.frame.header;
    return header !== undefined && isFound(header, position, options) ? header : undefined;
  }

  async newestSnapshot(): Promise<StoredSnapshot | undefined> {
    this.#assertOpen();
    return undefined;
  }

  async createSnapshot(header: SnapshotHeader, options: { readonly replace?: boolean } = {}): Promise<SnapshotWriter> {
    this.#assertOpen();
    return {
      write: async () => this.#assertOpen(),
      commit: async () => {
        this.#assertOpen();
        if (options.replace === true) this.#replace(header);
      },
      abort: async () => undefined,
    };
  }

  get peers(): ReadonlyMap<string, ExactPosition> {
    return this.#peers;
  }

  setPeer(site: string, durable: ExactPosition): void {
    this.#peers.set(site, durable);
  }

  forgetPeer(site: string): boolean {
    return this.#peers.delete(site);
  }

  async retain(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#frames.clear();
    this.#events.emit('progress');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw journalClosed();
  }

  #assertReached(position: ExactPosition, generation: number): void {
    const { base } = this;
    if (position.revision >= base.revision && generation === this.#generation) return;
    throw new EvertreeError('COMPACTED', `the journal begins at ${describe(base)} and no longer reaches back to ${describe(position)}`, {
      base,
      position,
    });
  }

  #after(position: ExactPosition): StoredFrame | undefined {
    if (samePosition(position, this.#last)) return undefined;
    const found = this.#frames.after(position.revision);
    if (found !== undefined && samePosition(found.frame.header.base, position)) return found;
    const problem = `${describe(position)} is not a frame's end in this journal, which is stable up to ${describe(this.#last)}`;
    throw new EvertreeError('HISTORY_MISMATCH', problem, { expected: this.#last, found: position });
  }

  #replace(header: SnapshotHeader): void {
    this.#frames.clear();
    this.#start = header.position;
    this.#last = header.position;
    this.#stream = header.stream;
    this.#generation++;
    this.#tellSoon();
  }

  /** Once for all frames of a turn, and never inside `append`. */
  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    this.#clock.soon(() => {
      this.#telling = false;
      this.#events.emit('progress');
    });
  }
}
