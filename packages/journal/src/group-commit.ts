import type { Clock, ExactPosition, Frame, JournalState, Reporter } from '@evertree/core';
import { Emitter, EvertreeError } from '@evertree/core';
import type { ActiveSegment, Group, PendingFrame } from './active-segment.ts';
import { recordBytes } from './active-segment.ts';
import { asError, isNoSpace, journalClosed, storageFailed } from './failure.ts';
import { FlushWaiters } from './flush-waiters.ts';
import { checkFollows } from './follow.ts';
import type { History } from './history.ts';

/** Bytes of one write; a frame that is longer goes alone. */
const GROUP_LIMIT_BYTES = 4 * 1024 * 1024;
/** A full disk is tried again after this. */
const FULL_RETRY_MS = 1_000;

export interface JournalEvents {
  /** A group became stable, or the state changed. */
  progress: () => void;
}

/** Makes frames stable: one write in flight; what comes meanwhile makes up the next group. */
export class GroupCommit {
  readonly events: Emitter<JournalEvents>;
  readonly #history: History;
  readonly #clock: Clock;
  readonly #report: Reporter;
  #state: JournalState = 'open';
  #failure: Error | undefined;
  #last: ExactPosition;
  #stream: string | undefined;
  #queue: PendingFrame[] = [];
  #pendingBytes = 0;
  #inFlight: Group | undefined;
  #busy = false;
  #running: Promise<void> = Promise.resolve();
  /** A group became stable, or the state changed, and the listeners don't know yet. */
  #untold = false;
  #retry: Disposable | undefined;
  readonly #waiters = new FlushWaiters();
  /** Set while a snapshot takes the place of the history. */
  #suspended = false;

  constructor(history: History, clock: Clock, report: Reporter, stream: string | undefined) {
    this.#history = history;
    this.#clock = clock;
    this.#report = report;
    this.#last = history.stable;
    this.#stream = stream;
    this.events = new Emitter(report);
  }

  get state(): JournalState {
    return this.#state;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get last(): ExactPosition {
    return this.#last;
  }

  get stream(): string | undefined {
    return this.#stream;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get busy(): boolean {
    return this.#busy;
  }

  append(frame: Frame, trailer: Uint8Array | undefined): void {
    this.#assertUsable();
    if (this.#suspended) {
      throw new EvertreeError('HISTORY_MISMATCH', 'a snapshot is taking the place of this history; append what follows it once it has', {
        last: this.#last,
      });
    }
    checkFollows(frame, trailer, this.#last, this.#stream);
    this.#stream = frame.header.stream;
    this.#last = frame.header.last;
    const pending = { frame, trailer };
    this.#pendingBytes += pendingBytes(pending);
    this.#queue.push(pending);
    if (this.#state === 'open') this.#start();
  }

  flush(): Promise<void> {
    if (!this.#isUsable()) return Promise.reject(this.#unusable());
    if (this.#pendingBytes === 0) return Promise.resolve();
    this.#start();
    // The first segment is made at once, and may have failed at once.
    if (!this.#isUsable()) return Promise.reject(this.#unusable());
    return this.#waiters.wait(this.#last.revision);
  }

  flushSync(): void {
    this.#assertUsable();
    if (this.#pendingBytes === 0) return;
    try {
      this.#writeAllSync();
    } catch (error) {
      this.#stumble(error);
      if (!this.#isUsable()) throw this.#unusable();
    }
    this.events.emit('progress');
  }

  /** Something beside the groups failed on the disk. */
  fail(error: unknown): void {
    if (!this.#isUsable()) return;
    this.#stumble(error);
    this.events.emit('progress');
  }

  /** Lets what is in flight end, and takes nothing until `resume`. What could not be written is dropped: it is void. */
  async suspend(): Promise<void> {
    this.#suspended = true;
    await this.#running;
    this.#assertUsable();
  }

  /** @param start where the history begins anew; undefined when it goes on as it was */
  resume(start: { readonly last: ExactPosition; readonly stream: string } | undefined): void {
    this.#suspended = false;
    if (start === undefined) {
      this.#start();
      return;
    }
    this.#last = start.last;
    this.#stream = start.stream;
    this.#queue = [];
    this.#pendingBytes = 0;
    this.#waiters.resolve(Infinity);
    this.#recover();
    this.events.emit('progress');
  }

  /** Makes stable what can be, then takes nothing more. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    if (this.#state === 'full') this.#start();
    await this.#running;
    this.#retry?.[Symbol.dispose]();
    if (this.#pendingBytes > 0) {
      this.#report({
        level: 'error',
        event: 'closed-with-pending',
        message: `the journal was closed while ${this.#pendingBytes} bytes could not be written (${this.#failure?.message ?? 'no reason known'})`,
        details: { pendingBytes: this.#pendingBytes, stable: this.#history.stable, last: this.#last },
      });
    }
    this.#state = 'closed';
    this.#waiters.reject(journalClosed());
    this.events.emit('progress');
  }

  #assertUsable(): void {
    if (!this.#isUsable()) throw this.#unusable();
  }

  #isUsable(): boolean {
    return this.#state === 'open' || this.#state === 'full';
  }

  #unusable(): EvertreeError {
    return this.#state === 'closed' ? journalClosed() : storageFailed(this.#failure ?? new Error('unknown'));
  }

  #start(): void {
    if (this.#busy || this.#suspended || this.#queue.length === 0) return;
    this.#busy = true;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0 && this.#isUsable()) {
        const segment = this.#readySegment();
        if (segment === undefined) await this.#makeRoom();
        else await this.#write(segment);
      }
    } catch (error) {
      this.#stumble(error);
      this.#untold = true;
    } finally {
      // At once, not a turn later: whoever appends now has to start the next run.
      this.#busy = false;
    }
    this.#tell();
  }

  async #write(segment: ActiveSegment): Promise<void> {
    const group = this.#take(segment);
    this.#inFlight = group;
    const writing = segment.write(group);
    // The news of the group before it spreads while this one is written.
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
    if (group.settled || !this.#isUsable()) return;
    this.#settle(group);
    this.#untold = true;
  }

  #writeAllSync(): void {
    const flying = this.#inFlight;
    if (flying !== undefined && !flying.settled) {
      flying.segment.writeSync(flying);
      this.#settle(flying);
    }
    while (this.#queue.length > 0) {
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

  /** The segment that the next group can be written to as things are. */
  #readySegment(): ActiveSegment | undefined {
    const { active } = this.#history;
    if (active === undefined || active.isFull || active.meetsFilling(this.#nextGroup().bytes)) return undefined;
    return active;
  }

  async #makeRoom(): Promise<void> {
    this.#tell();
    const { active } = this.#history;
    const { header } = this.#queue[0]!.frame;
    const first = { epoch: header.epoch, revision: header.base.revision + 1 };
    if (active === undefined) this.#history.nextSegmentSync(header.stream, first);
    else if (active.isFull) await this.#history.nextSegment(header.stream, first);
    else await active.filled();
  }

  #readySegmentSync(): ActiveSegment {
    const ready = this.#readySegment();
    if (ready !== undefined) return ready;
    // While the next one is being made this one grows beyond its size; no zeros are being written to it then.
    if (this.#history.active !== undefined && !this.#history.canCreate) return this.#history.active;
    const { header } = this.#queue[0]!.frame;
    this.#history.nextSegmentSync(header.stream, { epoch: header.epoch, revision: header.base.revision + 1 });
    return this.#history.active!;
  }

  /** How many of the waiting frames make up the next group, and their bytes in the file. */
  #nextGroup(): { readonly count: number; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const pending of this.#queue) {
      const more = recordBytes(pending);
      if (count > 0 && bytes + more > GROUP_LIMIT_BYTES) break;
      bytes += more;
      count++;
    }
    return { count, bytes };
  }

  #take(segment: ActiveSegment): Group {
    const { count, bytes } = this.#nextGroup();
    return segment.reserve(this.#queue.splice(0, count), bytes);
  }

  #takeBack(group: Group): void {
    group.segment.takeBack(group);
    this.#queue = [...group.frames, ...this.#queue];
  }

  #settle(group: Group): void {
    this.#history.settle(group);
    for (const pending of group.frames) this.#pendingBytes -= pendingBytes(pending);
    this.#recover();
    this.#waiters.resolve(this.#history.stable.revision);
  }

  #tell(): void {
    if (!this.#untold) return;
    this.#untold = false;
    this.events.emit('progress');
  }

  #recover(): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    if (this.#state !== 'full') return;
    this.#state = 'open';
    this.#failure = undefined;
    this.#report({ level: 'info', event: 'storage-has-room', message: 'there is room on the disk again; what was pending is stable' });
  }

  #stumble(error: unknown): void {
    if (!this.#isUsable()) return;
    const failure = asError(error);
    this.#failure = failure;
    if (isNoSpace(error)) {
      if (this.#state !== 'full') {
        const message = `there is no room on the disk (${failure.message}); what was appended stays pending and is tried again every ${FULL_RETRY_MS} ms`;
        this.#report({ level: 'error', event: 'storage-full', message, details: { error: failure } });
      }
      this.#state = 'full';
      this.#retry ??= this.#clock.after(FULL_RETRY_MS, () => {
        this.#retry = undefined;
        this.#start();
      });
      return;
    }
    this.#state = 'failed';
    this.#retry?.[Symbol.dispose]();
    const unusable = this.#unusable();
    this.#report({ level: 'error', event: 'storage-failed', message: unusable.message, details: { error: failure } });
    this.#waiters.reject(unusable);
  }
}

function pendingBytes(pending: PendingFrame): number {
  return pending.frame.bytes.length + (pending.trailer?.length ?? 0);
}
