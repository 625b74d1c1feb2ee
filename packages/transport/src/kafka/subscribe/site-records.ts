import type { Hello } from '@evertree/core';
import { Backoff } from '../../wire/backoff.ts';
import { encodeControl } from '../control.ts';
import type { Control, PositionRecord, RoleRecord, SiteRecord, WantRecord } from '../control.ts';
import type { SentRecord } from '../records.ts';
import type { SubscribeAction } from './actions.ts';
import type { SubscriberSettings } from './settings.ts';

/**
 * The records of this site for the control topic, and which of them are due. One send is under way at a time. Of each
 * key only the newest record is sent, except records that the primary counts (see `placeOf`). A failed send is
 * repeated. Pure: the caller sends.
 */
export class SiteRecords {
  /** Tells this link's records from others'. */
  readonly #from: string;
  /** Least time between the beginnings of two sends. */
  readonly #pauseMs: number;
  readonly #backoff: Backoff;
  /** Undefined until the site has said hello: nothing is told before. */
  #site: SiteRecord | undefined;
  #positions: PositionRecord | undefined;
  /** What this site waits for; null while it waits for no snapshot. */
  #want: WantRecord | null = null;
  /** How many messages about who leads were said: none of them replaces another. */
  #roles = 0;
  /** The positions were told since the last beat. */
  #toldPositions = false;
  /**
   * The records that wait, by what they replace, in the order in which they were last told. None of them is being sent.
   */
  #due = new Map<string, SentRecord>();
  /** The records that are being sent; undefined while none are. */
  #sending: ReadonlyMap<string, SentRecord> | undefined;
  /** `send-due` is waited for. One that comes when it is not does no harm. */
  #waiting = false;
  /** When the next send may begin. */
  #notBefore = -Infinity;
  #accepting = true;

  /** @param from 16 hex digits */
  constructor({ limits, random }: SubscriberSettings, from: string) {
    this.#from = from;
    this.#pauseMs = limits.acknowledgeMs;
    this.#backoff = new Backoff(limits.retryMs, random);
  }

  /** Whether the broker takes what is told. */
  get accepting(): boolean {
    return this.#accepting;
  }

  greet(hello: Hello, heartbeatMs: number): void {
    this.#positions = { applied: hello.position, durable: hello.position };
    this.#site = { hello: { ...hello, heartbeatMs }, state: 'replicate', reason: null };
    this.tellSite({});
  }

  /** Tells what has changed of this site. */
  tellSite(change: Partial<Omit<SiteRecord, 'hello'>>): void {
    if (this.#site === undefined) return;
    this.#site = { ...this.#site, ...change };
    this.#put({ kind: 'site', site: this.#site.hello.site, value: this.#site });
  }

  tellPositions(positions: PositionRecord): void {
    if (this.#site === undefined) return;
    this.#positions = positions;
    this.#toldPositions = true;
    this.#put({ kind: 'position', site: this.#site.hello.site, value: positions });
  }

  /** @param want null: it is fulfilled */
  tellWant(want: WantRecord | null): void {
    if (this.#site === undefined || (want === null && this.#want === null)) return;
    this.#want = want;
    this.#put({ kind: 'want', site: this.#site.hello.site, value: want });
  }

  /** Says something about who leads. It is not held back for the pause between two sends. */
  tellRole(role: RoleRecord): void {
    if (this.#site === undefined) return;
    this.#roles += 1;
    this.#put({ kind: 'role', site: role.to, value: role }, `role ${this.#roles}`);
    if (!this.#accepting) return;
    this.#notBefore = -Infinity;
    this.#waiting = false;
  }

  /** A sign of life: the positions, unless they were told since the last one, and what is wanted. */
  beat(): void {
    if (!this.#toldPositions && this.#positions !== undefined) {
      this.tellPositions(this.#positions);
      this.tellWant(this.#want);
    }
    this.#toldPositions = false;
  }

  /** The broker took the records that were being sent. @returns whether it refused the send before */
  sent(): boolean {
    const drained = !this.#accepting;
    this.#sending = undefined;
    this.#accepting = true;
    this.#backoff.reset();
    return drained;
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

  /** The action for what is due; undefined when nothing is. */
  next(now: number): SubscribeAction | undefined {
    if (this.#due.size === 0 || this.#sending !== undefined || this.#waiting) return undefined;
    if (this.#notBefore > now) {
      this.#waiting = true;
      return { type: 'send-in', ms: this.#notBefore - now };
    }
    this.#sending = this.#due;
    this.#due = new Map();
    this.#notBefore = now + this.#pauseMs;
    return { type: 'send', records: [...this.#sending.values()] };
  }

  /** Everything that is due, for the last send. */
  takeAll(): readonly SentRecord[] {
    const records = [...this.#due.values()];
    this.#due.clear();
    return records;
  }

  #put(control: Control, place?: string): void {
    const record = encodeControl(control, this.#from);
    place ??= placeOf(control, String(record.key));
    this.#due.delete(place);
    this.#due.set(place, record);
  }
}

/**
 * What a record replaces. The primary counts each snapshot that is taken, with its reason: so that record is sent even
 * if the snapshot has ended by then.
 */
function placeOf(control: Control, key: string): string {
  return control.kind === 'site' && control.value?.state === 'snapshot' ? `${key} snapshot` : key;
}
