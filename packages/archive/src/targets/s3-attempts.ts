import { type Clock, EvertreeError, type Random } from '@evertree/core';
import { isPassing, readS3Failure, type S3Failure, s3Error, type S3Place } from './s3-errors.ts';

/** How long and how often a request to the service is tried. */
export interface S3Limits {
  readonly attempts: number;
  /** No attempt begins later than this after the first one. */
  readonly patienceMs: number;
  /** The first wait between two attempts; each is twice as long as the one before. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** An attempt may take so long, and longer for many bytes. */
  readonly attemptMs: number;
}

export const S3_LIMITS: S3Limits = { attempts: 6, patienceMs: 60_000, firstWaitMs: 100, longestWaitMs: 5_000, attemptMs: 30_000 };
/** A line that carries fewer bytes is given up. */
const SLOWEST_BYTES_PER_MS = 32;

/** How an attempt is given up, and told that more bytes come than were known. */
export interface AttemptBounds {
  readonly signal: AbortSignal;
  /** Allows the time that so many bytes take. */
  expect(bytes: number): void;
}

/** As S3Attempts.run. */
export type S3Run = S3Attempts['run'];

/** Tries requests again where that is worth it, within bounds. */
export class S3Attempts {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: S3Limits;
  /** Each gives up an attempt that is under way, or a wait for the next one. */
  readonly #underWay = new Set<() => void>();
  #isClosed = false;

  constructor(clock: Clock, random: Random, limits: S3Limits) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
  }

  /**
   * @param request one attempt; is told whether an earlier one may have taken effect
   * @param bytes that it sends
   * @throws EvertreeError; CLOSED once this is closed
   */
  async run<T>(place: S3Place, request: (bounds: AttemptBounds, isRepeated: boolean) => Promise<T>, bytes = 0): Promise<T> {
    const { attempts, patienceMs } = this.#limits;
    const giveUpMs = this.#clock.monotonic() + patienceMs;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(bounds => request(bounds, attempt > 1), place, bytes);
      } catch (error) {
        // Of a request within this one, which had attempts of its own.
        if (error instanceof EvertreeError) throw error;
        const failure = readS3Failure(error);
        if (!isPassing(failure) || attempt >= attempts) throw s3Error(failure, place, error);
        const waitMs = this.#waitMs(attempt);
        if (this.#clock.monotonic() + waitMs > giveUpMs) throw s3Error(failure, place, error);
        await this.#wait(waitMs, place);
      }
    }
  }

  /** Gives up what is under way: a request may have taken effect or not. */
  close(): void {
    this.#isClosed = true;
    for (const giveUp of this.#underWay) giveUp();
  }

  /** Half of it is drawn, so that writers who failed together don't come again together. */
  #waitMs(attempt: number): number {
    const { firstWaitMs, longestWaitMs } = this.#limits;
    const fullMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (attempt - 1));
    return (fullMs / 2) * (1 + this.#random.fraction());
  }

  async #wait(milliseconds: number, place: S3Place): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => reject(closed(place));
    this.#underWay.add(giveUp);
    using _ = this.#clock.after(milliseconds, resolve);
    try {
      await promise;
    } finally {
      this.#underWay.delete(giveUp);
    }
  }

  async #once<T>(request: (bounds: AttemptBounds) => Promise<T>, place: S3Place, bytes: number): Promise<T> {
    if (this.#isClosed) throw closed(place);
    const abort = new AbortController();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const fail = (reason: Error) => {
      abort.abort(reason);
      reject(reason);
    };
    const expire = () => fail(Object.assign(new Error('it did not answer in time'), { name: 'TimeoutError' }));
    const giveUp = () => fail(closed(place));
    this.#underWay.add(giveUp);
    const allowedMs = this.#limits.attemptMs;
    let timer = this.#clock.after(allowedMs + bytes / SLOWEST_BYTES_PER_MS, expire);
    const expect = (more: number) => {
      timer[Symbol.dispose]();
      timer = this.#clock.after(allowedMs + more / SLOWEST_BYTES_PER_MS, expire);
    };
    const asked = request({ signal: abort.signal, expect });
    // Once it is late nobody waits for it any more.
    asked.catch(() => undefined);
    try {
      return await Promise.race([asked, late]);
    } finally {
      timer[Symbol.dispose]();
      this.#underWay.delete(giveUp);
    }
  }
}

function closed({ target }: S3Place): EvertreeError {
  return new EvertreeError('CLOSED', `the target ${target} was closed`, { target });
}

/** Whether an error of the client has this code of the service. */
export function isFailure(error: unknown, matches: (failure: S3Failure) => boolean): boolean {
  return matches(readS3Failure(error));
}
