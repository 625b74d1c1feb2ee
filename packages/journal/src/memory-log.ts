import type {
  Clock,
  ExactPosition,
  Frame,
  FrameHeader,
  FrameLog,
  FrameReader,
  JournalState,
  Keep,
  Reporter,
  SnapshotHeader,
  SnapshotOptions,
  StoredFrame,
} from '@evertree/core';
import { Emitter, EvertreeError, formatExactPosition, ORIGIN, samePosition } from '@evertree/core';
import { journalClosed } from './groups/failure.ts';
import { checkFollows } from './groups/follow.ts';
import { isFound, type FindOptions } from './segments/frame-search.ts';
import { FrameTail } from './segments/frame-tail.ts';
import type { JournalEvents } from './groups/group-commit.ts';

/** The newest frames, in memory. A frame is stable as soon as it is appended, and never durable. */
export class MemoryLog implements FrameLog {
  readonly durable = false;
  readonly failure = undefined;
  readonly pendingBytes = 0;
  readonly busy = false;
  readonly #clock: Clock;
  readonly #frames: FrameTail;
  readonly #events: Emitter<JournalEvents>;
  #state: JournalState = 'open';
  /** The base of the history while no frame is kept. */
  #start: ExactPosition = ORIGIN;
  #last: ExactPosition = ORIGIN;
  /** The stream's id. Undefined until the first frame or snapshot names it. */
  #stream: string | undefined;
  /** Counts the snapshots that replaced the history. A reader of an earlier generation gets COMPACTED. */
  #generation = 0;
  /** Set while what goes is kept, and `append` is refused: the message for the caller of `append`. */
  #rewinding: string | undefined;
  /** A call of the listeners is scheduled. */
  #telling = false;

  constructor(clock: Clock, report: Reporter, maxBytes: number) {
    this.#clock = clock;
    this.#frames = new FrameTail(maxBytes);
    this.#events = new Emitter(report);
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

  append(frame: Frame, trailer?: Uint8Array): void {
    this.assertOpen();
    this.#assertNotRewinding();
    checkFollows(frame, trailer, this.#last, this.#stream);
    this.#stream = frame.header.stream;
    this.#last = frame.header.last;
    this.#frames.push({ frame, trailer: trailer?.length === 0 ? undefined : trailer });
    // A frame above the limit is not kept, and it pushes out all others.
    if (this.#frames.oldest() === undefined) this.#start = this.#last;
    this.#tellSoon();
  }

  flushSync(): void {
    this.assertOpen();
  }

  async flush(): Promise<void> {
    this.assertOpen();
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
        if (ended) throw journalClosed();
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

  async find(position: ExactPosition, options?: FindOptions): Promise<FrameHeader | undefined> {
    this.assertOpen();
    const header = this.#frames.holding(position.revision)?.frame.header;
    return header !== undefined && isFound(header, position, options) ? header : undefined;
  }

  async findByTime(time: number): Promise<FrameHeader | undefined> {
    this.assertOpen();
    return this.#frames.findLast(({ frame }) => frame.header.firstTime <= time)?.frame.header;
  }

  async rewind(position: ExactPosition, keep: Keep, moved?: () => void): Promise<void> {
    this.assertOpen();
    this.#assertNotRewinding();
    this.#assertReached(position, this.#generation);
    if (samePosition(position, this.#last)) return;
    if (!samePosition(position, this.base) && (await this.find(position)) === undefined) throw this.#notOurs(position);
    await this.#keep(position, keep, `this history is cut back to ${formatExactPosition(position)}; go on behind that`);
    this.#start = this.base;
    this.#frames.dropAfter(position.revision);
    this.#last = position;
    if (samePosition(position, ORIGIN)) this.#stream = undefined;
    moved?.();
    this.#tellSoon();
  }

  /** @throws EvertreeError CLOSED */
  assertOpen(): void {
    if (this.#state === 'closed') throw journalClosed();
  }

  /** Replaces the history by a snapshot. */
  async replace(header: SnapshotHeader, diverged: SnapshotOptions['diverged'], moved: (() => void) | undefined): Promise<void> {
    if (diverged !== undefined && !samePosition(diverged.fork, this.#last)) {
      this.#assertNotRewinding();
      const { fork } = diverged;
      const isHere = fork.revision <= this.base.revision || (await this.find(fork)) !== undefined;
      const start = isHere ? fork : this.base;
      const reason = 'a snapshot takes the place of this history; go on behind it';
      if (!samePosition(start, this.#last)) await this.#keep(start, diverged.keep, reason);
    }
    this.#frames.clear();
    this.#start = header.position;
    this.#last = header.position;
    this.#stream = header.stream;
    this.#generation++;
    moved?.();
    this.#tellSoon();
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#frames.clear();
    this.#events.emit('progress');
  }

  #assertNotRewinding(): void {
    if (this.#rewinding !== undefined) throw new EvertreeError('HISTORY_MISMATCH', this.#rewinding, { last: this.#last });
  }

  /** Hands out what follows `fork`. Meanwhile `append` is refused, with `reason`. */
  async #keep(fork: ExactPosition, keep: Keep, reason: string): Promise<void> {
    const { base } = this;
    const last = this.#last;
    if (fork.revision > last.revision) throw this.#notOurs(fork);
    const first = fork.revision < base.revision ? base : fork;
    const missing = first === fork ? undefined : { base: fork, last: first };
    this.#rewinding = reason;
    try {
      await keep({
        stream: this.#stream!,
        base: fork,
        last,
        missing,
        frames: () => this.#framesAfter(first),
      });
      this.assertOpen();
    } finally {
      this.#rewinding = undefined;
    }
  }

  #assertReached(position: ExactPosition, generation: number): void {
    const { base } = this;
    if (position.revision >= base.revision && generation === this.#generation) return;
    throw new EvertreeError(
      'COMPACTED',
      `the journal begins at ${formatExactPosition(base)} and no longer reaches back to ${formatExactPosition(position)}`,
      {
        base,
        position,
      },
    );
  }

  #after(position: ExactPosition): StoredFrame | undefined {
    if (samePosition(position, this.#last)) return undefined;
    const found = this.#frames.after(position.revision);
    if (found !== undefined && samePosition(found.frame.header.base, position)) return found;
    throw this.#notOurs(position);
  }

  async *#framesAfter(position: ExactPosition): AsyncGenerator<StoredFrame, void, undefined> {
    const reader = this.read(position);
    for (let stored = await reader.next(); stored !== undefined; stored = await reader.next()) yield stored;
  }

  #notOurs(position: ExactPosition): EvertreeError {
    const problem = `${formatExactPosition(position)} is not a frame's end in this journal, which is stable up to ${formatExactPosition(this.#last)}`;
    return new EvertreeError('HISTORY_MISMATCH', problem, { expected: this.#last, found: position });
  }

  /** Calls the listeners once for all frames of a turn, and never inside `append`. */
  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    this.#clock.soon(() => {
      this.#telling = false;
      this.#events.emit('progress');
    });
  }
}
