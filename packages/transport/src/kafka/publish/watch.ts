import { readFrameHeader } from '@evertree/core';
import type { FrameHeader, Reason } from '@evertree/core';
import type { SnapshotRecord } from '../control.ts';
import type { Watermarks } from '../broker.ts';
import type { ReceivedRecord } from '../records.ts';
import type { Session } from './session.ts';
import { snapshotNeed } from './snapshot-need.ts';
import type { Want } from './snapshot-need.ts';

export interface WatchOptions {
  readonly session: Session;
  /** The offset that the next record gets, as far as is known. */
  next(): bigint;
  /** A snapshot that fits to this stream. */
  fits(snapshot: SnapshotRecord): boolean;
  wants(): readonly Want[];
  /** The offset after the last frame of another writer that was seen. */
  foreignTo(): bigint | undefined;
  /** Nothing is asked for now: a snapshot is under way. */
  busy(): boolean;
  wanted(reason: Reason): void;
  cut(explanation: string): void;
  failed(error: unknown): void;
}

/** Looks at what the topic still holds, and finds when a snapshot is due. */
export class Watch {
  readonly #options: WatchOptions;
  #newest: { readonly record: SnapshotRecord; readonly time: number } | undefined;
  #watermarks: Watermarks | undefined;
  #beginning: { readonly low: bigint; readonly first: FrameHeader | undefined } | undefined;
  #timer: Disposable | undefined;
  #looking = false;
  #stopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** The newest snapshot announced. */
  get newest(): SnapshotRecord | undefined {
    return this.#newest?.record;
  }

  /** @param time when it was announced, milliseconds since 1970 */
  announced(record: SnapshotRecord, time: number): void {
    if (this.#newest === undefined || time >= this.#newest.time) this.#newest = { record, time };
  }

  start(): void {
    const { clock, limits } = this.#options.session.settings;
    if (!this.#stopped) this.#timer = clock.after(limits.watermarksMs, () => void this.#tick());
  }

  /** A secondary wants a snapshot: looked at now. */
  look(): void {
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #tick(): Promise<void> {
    await this.#look();
    this.start();
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#stopped) return;
    this.#looking = true;
    const expected = this.#options.next();
    try {
      const found = await this.#options.session.watermarks();
      if (this.#stopped) return;
      if (found.high < expected) {
        this.#options.cut(`it ends at ${found.high}, and ${expected} records were there: it was cut short or made anew`);
        return;
      }
      this.#watermarks = found;
      await this.#lookAtBeginning(found);
      this.#consider();
    } catch (error) {
      if (!this.#stopped) this.#options.failed(error);
    } finally {
      this.#looking = false;
    }
  }

  /** Without a snapshot it matters what the topic begins with. */
  async #lookAtBeginning({ low, high }: Watermarks): Promise<void> {
    if (this.#fitting() !== undefined || low === high || this.#beginning?.low === low) return;
    const { records } = await this.#options.session.look(low);
    this.#beginning = { low, first: firstHeader(records) };
  }

  #consider(): void {
    const { session } = this.#options;
    const { settings, facts, recordBytes } = session;
    if (this.#stopped || this.#options.busy() || this.#watermarks === undefined) return;
    const newest = this.#fitting();
    const first = this.#beginning?.low === this.#watermarks.low ? this.#beginning.first : undefined;
    const reason = snapshotNeed({
      now: settings.clock.now(),
      ...this.#watermarks,
      newest: newest && {
        ...newest.record,
        position: newest.record.header.position,
        follow: BigInt(newest.record.follow),
        time: newest.time,
      },
      whole: first?.base.revision === 0,
      lowTime: first?.lastTime,
      recordBytes,
      retentionMs: facts.retentionMs,
      retentionBytes: facts.retentionBytes,
      foreignTo: this.#options.foreignTo(),
      snapshotBytes: settings.limits.snapshotBytes,
      wants: this.#options.wants(),
    });
    if (reason !== undefined) this.#options.wanted(reason);
  }

  #fitting(): { readonly record: SnapshotRecord; readonly time: number } | undefined {
    return this.#newest !== undefined && this.#options.fits(this.#newest.record) ? this.#newest : undefined;
  }
}

/** The first frame that begins in these records. */
function firstHeader(records: readonly ReceivedRecord[]): FrameHeader | undefined {
  for (const { value } of records) {
    try {
      if (value !== null) return readFrameHeader(value);
    } catch {
      // A later part, or nothing of ours: the next one may be.
    }
  }
  return undefined;
}
