import type { Clock } from '@evertree/core';
import type { ReceivedRecord } from '../records.ts';
import type { Session } from './session.ts';

export interface ControlLoopOptions {
  readonly session: Session;
  /** How long a fetch waits for something to come. */
  readonly waitMs: number;
  take(records: readonly ReceivedRecord[], live: boolean): void;
  /** What was there when the session was opened has been taken. */
  past(): void;
  failed(error: unknown): void;
}

/**
 * Least pause between two fetches that bring something: twenty secondaries that acknowledge fifty times a second each are fetched
 * together, and not one by one. It is the pause between two acknowledgements of one secondary, so that many cost no more fetches than one.
 */
const GATHER_MS = 20;

/** Reads the control topic from its beginning, for as long as the link lives. */
export class ControlLoop {
  readonly #options: ControlLoopOptions;
  readonly #clock: Clock;
  #asOf: number;
  #stopped = false;

  constructor(options: ControlLoopOptions) {
    this.#options = options;
    this.#clock = options.session.settings.clock;
    this.#asOf = this.#clock.monotonic();
  }

  /** Everything said up to then has been taken; on the monotonic clock. */
  get asOf(): number {
    return this.#asOf;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    const { session, waitMs } = this.#options;
    const { low, high } = session.controlEnds;
    let isPast = false;
    try {
      for (let offset = low; !this.#stopped;) {
        if (!isPast && offset >= high) {
          isPast = true;
          this.#options.past();
        }
        const before = this.#clock.monotonic();
        const { records, next } = await session.fetchControl(offset, isPast ? waitMs : 1);
        if (this.#stopped) return;
        this.#take(records, high);
        this.#asOf = before;
        offset = next;
        if (records.length > 0 && isPast) await this.#pause();
      }
    } catch (error) {
      if (!this.#stopped) this.#options.failed(error);
    }
  }

  #take(records: readonly ReceivedRecord[], high: bigint): void {
    const live = records.findIndex(({ offset }) => BigInt(offset) >= high);
    const end = live < 0 ? records.length : live;
    if (end > 0) this.#options.take(records.slice(0, end), false);
    if (end < records.length) this.#options.take(records.slice(end), true);
  }

  #pause(): Promise<void> {
    return new Promise(resolve => void this.#clock.after(GATHER_MS, resolve));
  }
}
