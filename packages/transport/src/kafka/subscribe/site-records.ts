import type { CloseReason, Hello, Random } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { encodeControl } from '../control.ts';
import type { Control, PositionRecord, SiteRecord, WantRecord } from '../control.ts';
import type { SentRecord } from '../records.ts';
import type { Action } from './end-events.ts';

export interface SiteRecordsOptions {
  /** 16 hex digits that tell this link's records from others'. */
  readonly from: string;
  /** Least time between the beginnings of two sends. */
  readonly pauseMs: number;
  /** After a send that failed; it grows. */
  readonly retryMs: number;
  readonly random: Random;
}

/**
 * What the control topic is to say of this site, and which of it is due. One send is under way at a time. Of each key only the newest
 * record is sent, but for those that tell of something that happened. What failed is sent again. Pure: the caller sends.
 */
export class SiteRecords {
  readonly #options: SiteRecordsOptions;
  readonly #backoff: Backoff;
  /** Undefined until the site has said hello: nothing is told before. */
  #hello: SiteRecord['hello'] | undefined;
  #state: Pick<SiteRecord, 'state' | 'reason'> = { state: 'replicate', reason: null };
  #positions: PositionRecord | undefined;
  #want: WantRecord | null = null;
  /** The positions were told since the last beat. */
  #toldPositions = false;
  /** By what they replace, in the order in which they were last told. Nothing in it is under way. */
  #due = new Map<string, SentRecord>();
  /** What is under way; undefined while nothing is. */
  #sending: ReadonlyMap<string, SentRecord> | undefined;
  /** The caller was asked for `send-due`, which has not come yet. */
  #waiting = false;
  /** When the next send may begin. */
  #notBefore = -Infinity;
  #accepting = true;

  constructor(options: SiteRecordsOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.retryMs, options.random);
  }

  /** Whether the broker takes what is told. */
  get accepting(): boolean {
    return this.#accepting;
  }

  /** What this site waits for; null while it waits for no snapshot. */
  get want(): WantRecord | null {
    return this.#want;
  }

  greet(hello: Hello, heartbeatMs: number): void {
    this.#hello = { ...hello, heartbeatMs };
    this.#positions = { applied: hello.position, durable: hello.position };
    this.#tellState();
  }

  tellState(state: SiteRecord['state'], reason: SiteRecord['reason']): void {
    this.#state = { state, reason };
    this.#tellState();
  }

  tellPositions(positions: PositionRecord): void {
    this.#positions = positions;
    this.#tellPositions();
  }

  /** @param want null: it is fulfilled */
  tellWant(want: WantRecord | null): void {
    if (want === null && this.#want === null) return;
    this.#want = want;
    this.#tellWant();
  }

  tellClosing(reason: CloseReason, explanation: string): void {
    this.#tellState({ reason, explanation });
  }

  /** A sign of life: the positions, unless they were told since the last one, and what is wanted. */
  beat(): void {
    if (!this.#toldPositions) {
      this.#tellPositions();
      if (this.#want !== null) this.#tellWant();
    }
    this.#toldPositions = false;
  }

  sent(): Action | undefined {
    this.#sending = undefined;
    this.#backoff.reset();
    if (this.#accepting) return undefined;
    this.#accepting = true;
    return { type: 'drained' };
  }

  failed(now: number): void {
    const older = [...(this.#sending ?? [])].filter(([place]) => !this.#due.has(place));
    this.#due = new Map([...older, ...this.#due]);
    this.#sending = undefined;
    this.#notBefore = now + this.#backoff.next();
    this.#accepting = false;
  }

  /** The time has come that `next` asked for. */
  waited(): void {
    this.#waiting = false;
  }

  /** What is to be done about what is due; undefined when nothing is. */
  next(now: number): Action | undefined {
    if (this.#due.size === 0 || this.#sending !== undefined || this.#waiting) return undefined;
    if (this.#notBefore <= now) return this.#send(now);
    this.#waiting = true;
    return { type: 'send-in', ms: this.#notBefore - now };
  }

  /** Everything that is due, for the last send. */
  takeAll(): readonly SentRecord[] {
    const records = [...this.#due.values()];
    this.#due.clear();
    return records;
  }

  #send(now: number): Action {
    this.#sending = this.#due;
    this.#due = new Map();
    this.#notBefore = now + this.#options.pauseMs;
    return { type: 'send', records: [...this.#sending.values()] };
  }

  #tellState(closing?: { readonly reason: CloseReason; readonly explanation: string }): void {
    const hello = this.#hello;
    if (hello === undefined) return;
    this.#put({ kind: 'site', site: hello.site, value: { hello, ...this.#state, ...(closing === undefined ? {} : { closing }) } });
  }

  #tellPositions(): void {
    if (this.#hello === undefined || this.#positions === undefined) return;
    this.#toldPositions = true;
    this.#put({ kind: 'position', site: this.#hello.site, value: this.#positions });
  }

  #tellWant(): void {
    if (this.#hello !== undefined) this.#put({ kind: 'want', site: this.#hello.site, value: this.#want });
  }

  #put(control: Control): void {
    const record = encodeControl(control, this.#options.from);
    const place = placeOf(control, String(record.key));
    this.#due.delete(place);
    this.#due.set(place, record);
  }
}

/** The primary counts each snapshot that is taken, with its reason: this record is sent even if the snapshot is over by then. */
function placeOf(control: Control, key: string): string {
  return control.kind === 'site' && control.value?.state === 'snapshot' ? `${key} snapshot` : key;
}
