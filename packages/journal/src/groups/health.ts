import type { Clock, EvertreeError, JournalState, Reporter } from '@evertree/core';
import { asError, isNoSpace, journalClosed, storageFailed } from './failure.ts';

/** A full disk is tried again this often. */
const FULL_RETRY_MS = 1_000;

/** The state of a journal, and the reason for it. */
export class Health {
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #retry: () => void;
  #state: JournalState = 'open';
  #failure: Error | undefined;
  /** A write or sync failed for another reason than a full disk. It stays so after `close`. */
  #hasFailed = false;
  #timer: Disposable | undefined;

  /** @param retry called every `FULL_RETRY_MS` while the disk is full */
  constructor(clock: Clock, report: Reporter, retry: () => void) {
    this.#clock = clock;
    this.#report = report;
    this.#retry = retry;
  }

  get state(): JournalState {
    return this.#state;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Whether a write may be tried. */
  isUsable(): boolean {
    return this.#state === 'open' || this.#state === 'full';
  }

  /** The error for a caller when it may not. */
  unusable(): EvertreeError {
    return this.#state === 'closed' ? journalClosed() : storageFailed(this.#failure ?? new Error('unknown'));
  }

  assertUsable(): void {
    if (!this.isUsable()) throw this.unusable();
  }

  /**
   * A write or sync failed. On a full disk it is tried again. After any other failure it is not: nobody knows what the
   * disk took.
   */
  stumble(error: unknown): void {
    if (!this.isUsable()) return;
    this.#failure = asError(error);
    if (isNoSpace(error)) this.#becomeFull(this.#failure);
    else this.#becomeFailed(this.#failure);
  }

  /** A write succeeded. */
  recover(): void {
    this.#stopTimer();
    if (this.#state !== 'full') return;
    this.#state = 'open';
    this.#failure = undefined;
    this.#report({ level: 'info', event: 'storage-has-room', message: 'there is room on the disk again; the pending commits are stable' });
  }

  close(): void {
    this.#stopTimer();
    this.#state = 'closed';
  }

  #becomeFull(failure: Error): void {
    if (this.#state !== 'full') {
      const message = `there is no room on the disk (${failure.message}); pending commits are kept and tried again every ${FULL_RETRY_MS} ms`;
      this.#report({ level: 'error', event: 'storage-full', message, details: { error: failure } });
    }
    this.#state = 'full';
    this.#timer ??= this.#clock.after(FULL_RETRY_MS, () => {
      this.#timer = undefined;
      this.#retry();
    });
  }

  #becomeFailed(failure: Error): void {
    this.#state = 'failed';
    this.#hasFailed = true;
    this.#stopTimer();
    this.#report({ level: 'error', event: 'storage-failed', message: this.unusable().message, details: { error: failure } });
  }

  #stopTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
