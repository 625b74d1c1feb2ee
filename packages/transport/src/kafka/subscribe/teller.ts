import type { Clock, Random } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { encodeControl } from '../control.ts';
import type { Control } from '../control.ts';
import type { SentRecord } from '../records.ts';

export interface TellerOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** 16 hex digits that tell this link's records from others'. */
  readonly from: string;
  /** Least time between the beginnings of two sends. */
  readonly pauseMs: number;
  /** After a send that failed; it grows. */
  readonly retryMs: number;
  /** Writes records to `.control`; rejects when the broker did not take them. */
  readonly write: (records: readonly SentRecord[]) => Promise<void>;
  /** Whether the broker takes what is written has changed. */
  readonly accepting: (accepting: boolean) => void;
  readonly sent: (bytes: number) => void;
}

/**
 * Writes this site's records to `.control`: one send at a time, and of each key only the newest record, but for those that tell of something that
 * happened. What fails is sent again.
 */
export class Teller {
  readonly #options: TellerOptions;
  readonly #backoff: Backoff;
  /** By what they replace, in the order in which they were last told. */
  #due = new Map<string, SentRecord>();
  #sending: Promise<void> | undefined;
  #wait: Disposable | undefined;
  /** When the next send may begin. */
  #notBefore = -Infinity;
  #accepting = true;
  #stopped = false;

  constructor(options: TellerOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.retryMs, options.random);
  }

  put(control: Control): void {
    if (this.#stopped) return;
    const record = encodeControl(control, this.#options.from);
    const place = placeOf(control, String(record.key));
    this.#due.delete(place);
    this.#due.set(place, record);
    this.#proceed();
  }

  /** Takes nothing more; resolves when what is due has been tried once. */
  async finish(): Promise<void> {
    this.#stopped = true;
    this.#wait?.[Symbol.dispose]();
    await this.#sending;
    if (this.#due.size > 0) await this.#send();
  }

  #proceed(): void {
    if (this.#stopped || this.#sending !== undefined || this.#wait !== undefined || this.#due.size === 0) return;
    const { clock } = this.#options;
    const restMs = this.#notBefore - clock.monotonic();
    if (restMs <= 0) return void this.#send();
    this.#wait = clock.after(restMs, () => {
      this.#wait = undefined;
      this.#proceed();
    });
  }

  /** Never rejects. */
  #send(): Promise<void> {
    const { clock, pauseMs, write } = this.#options;
    const due = this.#due;
    const records = [...due.values()];
    this.#due = new Map();
    this.#notBefore = clock.monotonic() + pauseMs;
    this.#sending = write(records).then(
      () => this.#done(records),
      () => this.#failed(due),
    );
    return this.#sending;
  }

  #done(records: readonly SentRecord[]): void {
    this.#sending = undefined;
    this.#backoff.reset();
    this.#options.sent(records.reduce((bytes, record) => bytes + (record.value?.length ?? 0), 0));
    this.#accept(true);
    this.#proceed();
  }

  #failed(due: ReadonlyMap<string, SentRecord>): void {
    this.#sending = undefined;
    const older = [...due].filter(([place]) => !this.#due.has(place));
    this.#due = new Map([...older, ...this.#due]);
    this.#notBefore = this.#options.clock.monotonic() + this.#backoff.next();
    this.#accept(false);
    this.#proceed();
  }

  #accept(accepting: boolean): void {
    if (accepting === this.#accepting) return;
    this.#accepting = accepting;
    this.#options.accepting(accepting);
  }
}

/** That a snapshot is taken is told even if it is over by then: it is counted at the primary, with its reason. */
function placeOf(control: Control, key: string): string {
  return control.kind === 'site' && control.value?.state === 'snapshot' ? `${key} snapshot` : key;
}
