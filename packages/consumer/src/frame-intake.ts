import { EvertreeError, isEvertreeError, parseFrame } from '@evertree/core';
import type { CloseReason, ExactPosition, FarEnd, Frame, Message, Lineage, Reporter, Store } from '@evertree/core';
import { historyOf } from './history.ts';
import type { ConsumerOptions } from './options.ts';
import { RecentFrames } from './recent-frames.ts';
import { isPast, verdictOn } from './verdict.ts';
import type { Memory } from './verdict.ts';

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
  | { readonly kind: 'quarantine'; readonly error: EvertreeError };

/** Judges frames and applies those that are next. */
export class FrameIntake {
  readonly #store: Store;
  readonly #history: Lineage;
  readonly #farEnd: FarEnd;
  readonly #recent: RecentFrames;
  #lastTime: number | undefined;

  /** @param farEnd where the frames come from */
  constructor(store: Store, farEnd: FarEnd, recentFrames: number) {
    this.#store = store;
    this.#history = historyOf(store);
    this.#farEnd = farEnd;
    this.#recent = new RecentFrames(recentFrames);
  }

  /** Commit time of the last change set applied, milliseconds since 1970; undefined before the first. */
  get lastTime(): number | undefined {
    return this.#lastTime;
  }

  /** Answers at once, unless the frame is so old that the journal has to be asked. */
  take({ bytes, trailer, parsed }: FrameMessage): FrameOutcome | Promise<FrameOutcome> {
    let frame: Frame;
    try {
      frame = parsed ?? parseFrame(bytes);
    } catch (error) {
      return { kind: 'quarantine', error: asEvertreeError(error) };
    }
    const { last } = frame.header;
    if (!isPast(frame.header, this.#history)) return this.#judge(frame, trailer, 'unknown');
    const recent = this.#recent.find(last.revision);
    return recent === undefined ? this.#recall(frame) : this.#judge(frame, trailer, recent);
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

  async #recall(frame: Frame): Promise<FrameOutcome> {
    const { journal } = this.#store;
    const { last } = frame.header;
    const found = await journal.log.find(last);
    if (found !== undefined) return this.#judge(frame, undefined, { position: found.last, digest: found.digest });
    // Where the journal keeps this part of the history, no frame found means that none of ours ends there.
    const isKept = last.revision > journal.log.base.revision && last.revision <= journal.log.stable.revision;
    return this.#judge(frame, undefined, isKept ? 'absent' : 'unknown');
  }

  #judge(frame: Frame, trailer: Uint8Array | undefined, memory: Memory): FrameOutcome {
    const verdict = verdictOn(frame.header, this.#history, memory, this.#farEnd);
    return verdict.kind === 'next' ? this.#apply(frame, trailer) : verdict;
  }

  #apply(frame: Frame, trailer: Uint8Array | undefined): FrameOutcome {
    try {
      this.#store.applyFrame(frame, trailer);
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
