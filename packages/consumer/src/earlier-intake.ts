import { EvertreeError, Signal, Turn, covers, formatPosition } from '@evertree/core';
import type { CloseReason, Emitter, Frame, Position, Store } from '@evertree/core';
import type { EarlierFrames, MissingStretch } from './earlier-frames.ts';
import { asEvertreeError } from './frame-intake.ts';
import type { FrameIntake } from './frame-intake.ts';
import type { ConsumerLimits } from './limits.ts';
import type { ConsumerEvents } from './options.ts';
import type { CatchUp, CatchUps } from './status.ts';

/** What came of taking history from elsewhere. */
export type EarlierOutcome =
  /** The primary, or the log, goes on from here. */
  | { readonly kind: 'reached' }
  /** It does not lead there: only the whole tree does. */
  | { readonly kind: 'failed'; readonly error: EvertreeError }
  /** This site can take nothing from anybody. */
  | { readonly kind: 'refuse'; readonly reason: CloseReason; readonly error: EvertreeError }
  | { readonly kind: 'aborted' };

interface EarlierOptions {
  readonly store: Store;
  readonly earlierFrames: EarlierFrames;
}

type Failure = Extract<EarlierOutcome, { kind: 'failed' | 'refuse' }>;

/**
 * Takes the frames that a primary no longer keeps from elsewhere: through the same checks as its own, into the same
 * journal. What can't be applied is a fault of that place: nothing is put into quarantine for it.
 */
export class EarlierIntake {
  readonly #store: Store;
  readonly #frames: FrameIntake;
  readonly #limits: ConsumerLimits;
  readonly #earlier: EarlierFrames;
  readonly #events: Emitter<ConsumerEvents>;
  #done = 0;
  #failed = 0;
  #last: CatchUp | null = null;

  constructor({ store, earlierFrames }: EarlierOptions, frames: FrameIntake, limits: ConsumerLimits, events: Emitter<ConsumerEvents>) {
    this.#store = store;
    this.#frames = frames;
    this.#limits = limits;
    this.#earlier = earlierFrames;
    this.#events = events;
  }

  get status(): CatchUps {
    return { done: this.#done, failed: this.#failed, last: this.#last };
  }

  /**
   * Takes what is missing. Never rejects, and ends with the signal, whatever the source does.
   * @param applied is told of each frame
   */
  async take(stretch: MissingStretch, signal: AbortSignal, applied: () => void): Promise<EarlierOutcome> {
    this.#begin(stretch);
    const outcome = await this.#run(stretch, signal, applied);
    this.#conclude(stretch, outcome);
    return outcome;
  }

  #begin({ after, base }: MissingStretch): void {
    const { source } = this.#earlier;
    const stretch = { from: plain(after), base: plain(base) };
    this.#last = { source, state: 'running', ...stretch, frames: 0, bytes: 0, since: this.#store.clock.now(), error: null };
    this.#store.report({
      level: 'info',
      event: 'catch-up-begun',
      message: `${this.#store.site} takes the history from ${formatPosition(after)} to ${formatPosition(base)} from ${source}`,
      details: { source, after, base },
    });
  }

  async #run(stretch: MissingStretch, signal: AbortSignal, applied: () => void): Promise<EarlierOutcome> {
    using wait = new AbortableWait(signal);
    const frames = this.#earlier.frames(stretch, signal)[Symbol.asyncIterator]();
    try {
      return await this.#takeAll(frames, stretch, wait, applied);
    } catch (error) {
      return signal.aborted ? { kind: 'aborted' } : { kind: 'failed', error: asEvertreeError(error) };
    } finally {
      // Nobody waits for a source that does not answer, and what it fails with at its end says nothing.
      void frames.return?.().catch(() => undefined);
    }
  }

  async #takeAll(frames: AsyncIterator<Frame>, stretch: MissingStretch, wait: AbortableWait, applied: () => void): Promise<EarlierOutcome> {
    const turn = new Turn(this.#store.clock);
    const moved = new Signal();
    using _ = this.#store.journal.log.onProgress(() => moved.notify());
    for (;;) {
      const next = await wait.for(frames.next());
      if (next === undefined) return { kind: 'aborted' };
      // What is beside the primary's history belongs to a site that went another way.
      if (next.done === true || !covers(stretch.primary, next.value.header.last)) return this.#reached(stretch);
      const failure = await this.#takeOne(next.value, moved, wait);
      if (wait.isOver) return { kind: 'aborted' };
      if (failure !== undefined) return failure;
      applied();
      await turn.breathe();
    }
  }

  async #takeOne(frame: Frame, moved: Signal, wait: AbortableWait): Promise<Failure | undefined> {
    const { log } = this.#store.journal;
    for (;;) {
      const outcome = await this.#frames.take({ type: 'frame', bytes: frame.bytes, parsed: frame }, wait.signal);
      switch (outcome.kind) {
        case 'applied':
          this.#count(frame);
          if (log.pendingBytes > this.#limits.pendingBytes) {
            while (log.pendingBytes > this.#limits.pendingBytes / 2 && !wait.isOver) await wait.for(moved.wait());
          }
          return undefined;
        case 'duplicate':
        case 'aborted':
          return undefined;
        case 'full':
          while (this.#store.state === 'full' && !wait.isOver) await wait.for(moved.wait());
          if (wait.isOver) return undefined;
          continue;
        case 'gap':
        case 'rewind':
          return this.#unfit(`its frame of ${formatPosition(frame.header.last)} does not follow ${formatPosition(this.#store.position)}`);
        case 'refuse':
          return isOfThisSite(outcome.reason) ? outcome : { kind: 'failed', error: outcome.error };
        case 'quarantine':
          return { kind: 'failed', error: outcome.error };
      }
    }
  }

  #count({ bytes }: Frame): void {
    const last = this.#last!;
    this.#last = { ...last, frames: last.frames + 1, bytes: last.bytes + bytes.length };
  }

  #reached({ base }: MissingStretch): EarlierOutcome {
    const { position } = this.#store;
    if (position.revision >= base.revision) return { kind: 'reached' };
    return this.#unfit(`it leads to ${formatPosition(position)} only, and the primary keeps what follows ${formatPosition(base)}`);
  }

  #unfit(message: string): Failure {
    return { kind: 'failed', error: new EvertreeError('HISTORY_MISMATCH', message) };
  }

  #conclude({ after, base }: MissingStretch, outcome: EarlierOutcome): void {
    const { source, frames, bytes } = this.#last!;
    const error = outcome.kind === 'failed' || outcome.kind === 'refuse' ? outcome.error : undefined;
    if (outcome.kind === 'reached') this.#done += 1;
    else this.#failed += 1;
    const why = outcome.kind === 'aborted' ? 'the link to the primary ended' : (error?.message ?? null);
    this.#last = { ...this.#last!, state: outcome.kind === 'reached' ? 'done' : 'failed', error: why };
    this.#events.emit('catchUp', this.#last);
    const at = formatPosition(this.#store.position);
    const took = `${frames} frames (${bytes} bytes) from ${source} brought ${this.#store.site} from ${formatPosition(after)} to ${at}`;
    this.#store.report({
      level: outcome.kind === 'failed' ? 'warn' : 'info',
      event: outcome.kind === 'reached' ? 'catch-up-done' : 'catch-up-failed',
      message: why === null ? took : `${took}; ${source} leads no further: ${why}`,
      details: { source, after, base, frames, bytes, ...(error === undefined ? {} : { code: error.code, ...error.details }) },
    });
  }
}

/** Why this site takes frames from nobody: it closes, its disk failed, or it leads now. */
function isOfThisSite(reason: CloseReason): boolean {
  return reason === 'going-away' || reason === 'wrong-role';
}

function plain({ epoch, revision }: Position): Position {
  return { epoch, revision };
}

/** Waits, but not beyond a signal. Nothing of a wait that is over is kept, however many there are. */
class AbortableWait implements Disposable {
  readonly signal: AbortSignal;
  /** Ends the wait that is under way. */
  #end: () => void = () => undefined;
  readonly #ended = () => this.#end();

  constructor(signal: AbortSignal) {
    this.signal = signal;
    signal.addEventListener('abort', this.#ended);
  }

  get isOver(): boolean {
    return this.signal.aborted;
  }

  /** One wait at a time. @returns undefined once the signal has come */
  for<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#end = () => resolve(undefined);
      promise.then(value => resolve(this.isOver ? undefined : value), reject);
      if (this.isOver) this.#end();
    });
  }

  [Symbol.dispose](): void {
    this.signal.removeEventListener('abort', this.#ended);
  }
}
