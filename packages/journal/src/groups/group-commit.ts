import type { Clock, Disk, ExactPosition, Frame, JournalState, Reporter } from '@evertree/core';
import { Emitter, ORIGIN, Waiters } from '@evertree/core';
import { findShortage } from '../disk/room-probe.ts';
import type { ActiveSegment, Group } from '../segments/active-segment.ts';
import { isNoSpace, journalClosed, suspended } from './failure.ts';
import { checkFollows } from './follow.ts';
import { FrameQueue } from './frame-queue.ts';
import { Health } from './health.ts';
import { QuickWrites } from './quick-writes.ts';
import type { SegmentList } from '../segments/segment-list.ts';

export interface JournalEvents {
  /** A group became stable, or the state changed. */
  progress: () => void;
}

/**
 * Makes frames stable, in groups. One write is in flight; frames that are appended meanwhile make up the next group.
 */
export class GroupCommit {
  readonly events: Emitter<JournalEvents>;
  readonly #disk: Disk;
  readonly #history: SegmentList;
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #health: Health;
  readonly #quick: QuickWrites;
  #last: ExactPosition;
  #stream: string | undefined;
  readonly #queue = new FrameQueue();
  #inFlight: Group | undefined;
  #busy = false;
  #running: Promise<void> = Promise.resolve();
  /** The last probe of a full disk. */
  #probing: Promise<void> = Promise.resolve();
  /** A group became stable, or the state changed, and the listeners were not called yet. */
  #untold = false;
  /**
   * Callers of `flush`. They wait for positions that were appended here, so that no table of epochs is needed to
   * compare.
   */
  readonly #waiters = new Waiters({ epochs: [], last: ORIGIN });
  /** Set while the history is replaced or cut back, and `append` is refused: the reason. */
  #suspended: string | undefined;
  /** `close` was called. Pending frames may still become stable. */
  #closing = false;

  /** @param stream of the history; undefined while it is empty */
  constructor(parts: { disk: Disk; history: SegmentList; clock: Clock; report: Reporter }, stream: string | undefined) {
    this.#disk = parts.disk;
    this.#history = parts.history;
    this.#clock = parts.clock;
    this.#report = parts.report;
    this.#quick = new QuickWrites(parts.clock);
    this.#health = new Health(parts.clock, parts.report, () => this.#retry());
    this.#last = parts.history.stable;
    this.#stream = stream;
    this.events = new Emitter(parts.report);
  }

  get state(): JournalState {
    return this.#health.state;
  }

  get failure(): Error | undefined {
    return this.#health.failure;
  }

  /** Nobody writes to the files any more, not even after `close`. */
  get hasFailed(): boolean {
    return this.#health.hasFailed;
  }

  get last(): ExactPosition {
    return this.#last;
  }

  get stream(): string | undefined {
    return this.#stream;
  }

  get pendingBytes(): number {
    return this.#queue.pendingBytes;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** @throws EvertreeError CLOSED once `close` was called */
  assertOpen(): void {
    if (this.#closing) throw journalClosed();
  }

  append(frame: Frame, trailer: Uint8Array | undefined): void {
    this.#health.assertUsable();
    if (this.#suspended !== undefined) throw suspended(this.#suspended, this.#last);
    checkFollows(frame, trailer, this.#last, this.#stream);
    this.#stream = frame.header.stream;
    this.#last = frame.header.last;
    this.#queue.push({ frame, trailer });
    if (this.state !== 'open') return;
    // The site that a handover names begins the next epoch in the same turn: both frames go into one group.
    if (frame.header.endsEpoch) queueMicrotask(() => this.#start());
    else this.#start();
  }

  flush(): Promise<void> {
    if (!this.#health.isUsable()) return Promise.reject(this.#health.unusable());
    if (this.pendingBytes === 0) return Promise.resolve();
    this.#start();
    // Making the first segment is synchronous: it may have failed already.
    if (!this.#health.isUsable()) return Promise.reject(this.#health.unusable());
    return this.#waiters.begin(this.#last).reached;
  }

  flushSync(): void {
    this.#health.assertUsable();
    if (this.pendingBytes === 0) return;
    try {
      this.#writeAllSync();
    } catch (error) {
      this.#stumble(error);
    }
    this.events.emit('progress');
    this.#health.assertUsable();
  }

  /** A disk operation outside the groups failed: zeros ahead, a seal, a replacement. */
  fail(error: unknown): void {
    if (!this.#health.isUsable()) return;
    this.#stumble(error);
    this.events.emit('progress');
  }

  /**
   * Refuses `append` until `resume`. Resolves when all pending frames are stable; on a full disk they stay pending.
   * @param reason for the callers of `append`
   */
  async suspend(reason: string): Promise<void> {
    this.#health.assertUsable();
    if (this.#suspended !== undefined) throw suspended(this.#suspended, this.#last);
    this.#start();
    this.#suspended = reason;
    while (this.#busy) await this.#running;
    this.#health.assertUsable();
  }

  /** Sets the end of the changed history, and drops pending frames. Only while suspended. */
  restart({ last, stream }: { readonly last: ExactPosition; readonly stream: string | undefined }): void {
    this.#last = last;
    this.#stream = stream;
    this.#queue.clear();
    this.#waiters.fail(suspended(this.#suspended ?? '', last));
    this.#health.recover();
  }

  /** Takes frames again. */
  resume(): void {
    this.#suspended = undefined;
    this.#start();
    this.events.emit('progress');
  }

  /** Makes pending frames stable if the disk takes them, and then refuses everything. */
  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.#closing = true;
    if (this.#health.isUsable()) this.#start();
    while (this.#busy) await this.#running;
    await this.#probing;
    if (this.pendingBytes > 0) {
      this.#report({
        level: 'error',
        event: 'closed-with-pending',
        message: `the journal was closed while ${this.pendingBytes} bytes could not be written (${this.failure?.message ?? 'no reason known'})`,
        details: { pendingBytes: this.pendingBytes, stable: this.#history.stable, last: this.#last },
      });
    }
    this.#health.close();
    this.#waiters.fail(journalClosed());
    this.events.emit('progress');
  }

  /** Tries a full disk again: with the pending frames, or with a probe file if there are none. */
  #retry(): void {
    if (this.#queue.first === undefined) this.#probing = this.#probe();
    else this.#start();
  }

  async #probe(): Promise<void> {
    try {
      const shortage = await findShortage(this.#disk);
      if (shortage === undefined) this.#health.recover();
      else this.#stumble(shortage);
    } catch (error) {
      this.#stumble(error);
    }
    this.events.emit('progress');
    // Frames that were appended during the probe have started no write.
    if (this.state === 'open') this.#start();
  }

  #start(): void {
    if (this.#busy || this.#suspended !== undefined || this.#queue.first === undefined) return;
    this.#busy = true;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    try {
      // What is appended in the same turn joins the group, and no listener is called within `append`.
      if (this.#isQuick()) await Promise.resolve();
      while (this.#queue.first !== undefined && this.#health.isUsable()) {
        if (this.#untold && this.#isQuick()) {
          // A listener may append, or write all that is pending: what comes next is decided anew.
          this.#tell();
          continue;
        }
        const segment = this.#readySegment();
        if (segment === undefined) await this.#makeRoom();
        else if (this.#isQuick()) this.#writeQuickly(segment);
        else await this.#write(segment);
      }
    } catch (error) {
      this.#stumble(error);
      this.#untold = true;
    } finally {
      // In the same turn as the end of the loop: a frame that is appended after it has to start the next run.
      this.#busy = false;
    }
    this.#tell();
  }

  /** Whether the next group is written synchronously. */
  #isQuick(): boolean {
    return this.#quick.allows(this.#queue.nextGroup().bytes);
  }

  #writeQuickly(segment: ActiveSegment): void {
    const group = this.#take(segment);
    const begun = this.#clock.monotonic();
    try {
      segment.writeQuickly(group);
    } catch (error) {
      this.#takeBack(group);
      throw error;
    }
    this.#quick.wrote(this.#clock.monotonic() - begun);
    this.#settle(group);
    this.#untold = true;
  }

  async #write(segment: ActiveSegment): Promise<void> {
    const group = this.#take(segment);
    this.#inFlight = group;
    const begun = this.#clock.monotonic();
    const writing = segment.write(group);
    // The listeners hear of the group before this one while this one is being written.
    this.#tell();
    try {
      await writing;
    } catch (error) {
      if (!group.settled) this.#takeBack(group);
      else if (isNoSpace(error)) return;
      throw error;
    } finally {
      this.#inFlight = undefined;
    }
    if (group.settled || !this.#health.isUsable()) return;
    this.#quick.observe(group.bytes, this.#clock.monotonic() - begun);
    this.#settle(group);
    this.#untold = true;
  }

  #writeAllSync(): void {
    const flying = this.#inFlight;
    if (flying !== undefined && !flying.settled) {
      flying.segment.writeSync(flying);
      this.#settle(flying);
    }
    while (this.#queue.first !== undefined) {
      const segment = this.#readySegmentSync();
      const group = this.#take(segment);
      try {
        segment.writeSync(group);
      } catch (error) {
        this.#takeBack(group);
        throw error;
      }
      this.#settle(group);
    }
  }

  /** The active segment, if the next group can be written to it at once. */
  #readySegment(): ActiveSegment | undefined {
    const { active } = this.#history;
    if (active === undefined || active.isFull || active.meetsFilling(this.#queue.nextGroup().bytes)) return undefined;
    return active;
  }

  async #makeRoom(): Promise<void> {
    this.#tell();
    const { active } = this.#history;
    const first = this.#queue.first?.frame.header;
    // A listener wrote all that was pending.
    if (first === undefined) return;
    if (active === undefined) this.#history.nextSegmentSync(first);
    else if (active.isFull) await this.#history.nextSegment(first);
    else await active.pieceFilled();
  }

  #readySegmentSync(): ActiveSegment {
    const ready = this.#readySegment();
    if (ready !== undefined) return ready;
    // The next segment is being made asynchronously. Until it is there, the active one grows beyond its size; nobody
    // fills it with zeros.
    if (this.#history.active !== undefined && !this.#history.canCreate) return this.#history.active;
    this.#history.nextSegmentSync(this.#queue.first!.frame.header);
    return this.#history.active!;
  }

  #take(segment: ActiveSegment): Group {
    const { count, bytes } = this.#queue.nextGroup();
    return segment.reserve(this.#queue.take(count), bytes);
  }

  #takeBack(group: Group): void {
    group.segment.takeBack(group);
    this.#queue.takeBack(group.frames);
  }

  #settle(group: Group): void {
    this.#history.settle(group);
    this.#queue.settle(group.frames);
    this.#health.recover();
    this.#waiters.reached(this.#history.stable.revision);
  }

  #tell(): void {
    if (!this.#untold) return;
    this.#untold = false;
    this.events.emit('progress');
  }

  #stumble(error: unknown): void {
    this.#health.stumble(error);
    if (!this.#health.isUsable()) this.#waiters.fail(this.#health.unusable());
  }
}
