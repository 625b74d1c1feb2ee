import { EvertreeError, isEvertreeError, parseFrame, Turn } from '@evertree/core';
import type { CloseReason, ExactPosition, FarEnd, Frame, Message, Lineage, PreparedFrame, Reporter, Store } from '@evertree/core';
import { historyOf } from './history.ts';
import type { ConsumerLimits } from './limits.ts';
import type { ConsumerOptions } from './options.ts';
import { RecentFrames } from './recent-frames.ts';
import { isPast, verdictOn } from './verdict.ts';
import type { Memory, Verdict } from './verdict.ts';

export type FrameMessage = Extract<Message, { type: 'frame' }>;

export type FrameOutcome =
  | { readonly kind: 'applied' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'gap' }
  /** This history has to go back to this position first; then the same frame is to be tried again. */
  | { readonly kind: 'rewind'; readonly fork: ExactPosition }
  /** The disk has no room: the same frame is to be tried again. */
  | { readonly kind: 'full' }
  | { readonly kind: 'refuse'; readonly reason: CloseReason; readonly error: EvertreeError }
  /** It can't be applied: nothing may be read after it. */
  | { readonly kind: 'quarantine'; readonly error: EvertreeError }
  /** Whoever wanted it has gone meanwhile: nothing changed. */
  | { readonly kind: 'aborted' };

/** So often a frame is prepared whose preparation became void; then it is applied in one go. */
const PREPARATIONS = 3;

/** Judges frames and applies those that are next. */
export class FrameIntake {
  readonly #store: Store;
  readonly #history: Lineage;
  readonly #farEnd: FarEnd;
  readonly #recent: RecentFrames;
  readonly #limits: Pick<ConsumerLimits, 'largeFrameBytes' | 'largeCommitBytes'>;
  readonly #turn: Turn;
  #lastTime: number | undefined;

  /** @param farEnd where the frames come from */
  constructor(store: Store, farEnd: FarEnd, limits: ConsumerLimits) {
    this.#store = store;
    this.#history = historyOf(store);
    this.#farEnd = farEnd;
    this.#recent = new RecentFrames(limits.recentFrames);
    this.#limits = limits;
    this.#turn = new Turn(store.clock);
  }

  /** Commit time of the last change set applied, milliseconds since 1970; undefined before the first. */
  get lastTime(): number | undefined {
    return this.#lastTime;
  }

  /**
   * Answers at once, unless the frame is so old that the journal has to be asked, or so large that it is applied in
   * steps. One frame at a time.
   * @param signal gives a large frame up
   */
  take({ bytes, trailer, parsed }: FrameMessage, signal: AbortSignal): FrameOutcome | Promise<FrameOutcome> {
    let frame: Frame;
    try {
      frame = parsed ?? parseFrame(bytes);
    } catch (error) {
      return { kind: 'quarantine', error: asEvertreeError(error) };
    }
    if (this.#isLarge(frame)) return this.#takeLarge(frame, trailer, signal);
    const memory = this.#memory(frame);
    if (memory instanceof Promise) return memory.then(found => this.#conclude(frame, trailer, found));
    return this.#conclude(frame, trailer, memory);
  }

  /** The tree was replaced as a whole. */
  restart(time: number): void {
    this.#recent.clear();
    this.#lastTime = time;
  }

  /** The history went back. */
  wentBack(): void {
    this.#recent.clear();
  }

  /**
   * A frame of fast traffic has thousands of small commits, most of whose paths come again, and is fit for one step up to
   * a size that takes several times as long if it is one commit on new paths.
   */
  #isLarge({ bytes, header }: Frame): boolean {
    const { largeFrameBytes, largeCommitBytes } = this.#limits;
    return bytes.length > Math.min(largeFrameBytes, largeCommitBytes * header.count);
  }

  /** What is known of where the frame ends, if that is behind this site's position. */
  #memory({ header }: Frame): Memory | Promise<Memory> {
    if (!isPast(header, this.#history)) return 'unknown';
    return this.#recent.find(header.last.revision) ?? this.#recall(header.last);
  }

  async #recall(last: ExactPosition): Promise<Memory> {
    const { log } = this.#store.journal;
    const found = await log.find(last);
    if (found !== undefined) return { position: found.last, digest: found.digest };
    // Where the journal keeps this part of the history, no frame found means that none of ours ends there.
    const isKept = last.revision > log.base.revision && last.revision <= log.stable.revision;
    return isKept ? 'absent' : 'unknown';
  }

  #conclude(frame: Frame, trailer: Uint8Array | undefined, memory: Memory): FrameOutcome {
    const verdict = this.#judge(frame, memory);
    return verdict.kind === 'next' ? this.#apply(frame, trailer, undefined) : verdict;
  }

  #judge({ header }: Frame, memory: Memory): Verdict {
    return verdictOn(header, this.#history, memory, this.#farEnd);
  }

  /** What moves this site while the frame is prepared makes that void: then the frame is judged again. */
  async #takeLarge(frame: Frame, trailer: Uint8Array | undefined, signal: AbortSignal): Promise<FrameOutcome> {
    for (let left = PREPARATIONS; ; left--) {
      const memory = this.#memory(frame);
      const known = memory instanceof Promise ? await memory : memory;
      if (left === 0) return this.#conclude(frame, trailer, known);
      const verdict = this.#judge(frame, known);
      if (verdict.kind !== 'next') return verdict;
      let prepared: PreparedFrame | undefined;
      try {
        prepared = await this.#prepare(frame, signal);
      } catch (error) {
        return outcomeOf(asEvertreeError(error));
      }
      if (prepared === undefined) return { kind: 'aborted' };
      if (this.#store.isFrameCurrent(prepared)) return this.#apply(frame, trailer, prepared);
    }
  }

  /** Applies a frame ahead. @returns undefined if that was given up. What the caller does next has a turn of its own */
  async #prepare(frame: Frame, signal: AbortSignal): Promise<PreparedFrame | undefined> {
    // Who puts the parts of a large frame together has had its turn.
    await this.#turn.rest();
    if (signal.aborted) return undefined;
    const steps = this.#store.prepareFrame(frame);
    for (let step = steps.next(); ; step = steps.next()) {
      if (this.#turn.over) await this.#turn.rest();
      if (signal.aborted) return undefined;
      if (step.done === true) return step.value;
    }
  }

  #apply(frame: Frame, trailer: Uint8Array | undefined, prepared: PreparedFrame | undefined): FrameOutcome {
    try {
      if (prepared === undefined) this.#store.applyFrame(frame, trailer);
      else this.#store.applyPrepared(prepared, trailer);
    } catch (error) {
      return outcomeOf(asEvertreeError(error));
    }
    const { base, last, digest, lastTime } = frame.header;
    this.#recent.add(base, last, digest);
    this.#lastTime = lastTime;
    return { kind: 'applied' };
  }
}

/** What a failure to apply means: some failures are of this site and its disk, not of the frame. */
function outcomeOf(error: EvertreeError): FrameOutcome {
  switch (error.code) {
    case 'STORAGE_FULL':
      return { kind: 'full' };
    case 'STORAGE_FAILED':
    case 'CLOSED':
    case 'NOT_PRIMARY':
    case 'FENCED':
    case 'SWITCHING':
      return { kind: 'refuse', reason: 'going-away', error };
    case 'STREAM_MISMATCH':
      return { kind: 'refuse', reason: 'stream-mismatch', error };
    case 'HISTORY_MISMATCH':
      return { kind: 'refuse', reason: 'history-mismatch', error };
    // This site has become a primary since the frame was sent.
    case 'WRONG_ROLE':
      return { kind: 'refuse', reason: 'wrong-role', error };
    default:
      return { kind: 'quarantine', error };
  }
}

/** Hands a frame that could not be applied to whoever keeps it for people to look at. */
export function keepFrame(report: Reporter, keep: ConsumerOptions['keepQuarantined'], bytes: Uint8Array, error: EvertreeError): void {
  try {
    keep?.(bytes, error);
  } catch (cause) {
    report({ level: 'warn', event: 'frame-not-kept', message: `the frame could not be kept: ${String(cause)}`, details: { error: cause } });
  }
}

export function asEvertreeError(error: unknown): EvertreeError {
  if (isEvertreeError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new EvertreeError('FORMAT_INVALID', `it can't be taken in: ${message}`, {}, error);
}
