import type { Clock } from '@evertree/core';
import type { SentRecord } from '../records.ts';

/** A record that waits for the broker, and what its owner wants to know of it when it is there. */
export interface Queued<Tag> {
  readonly topic: string;
  readonly record: SentRecord;
  readonly tag: Tag;
}

export interface RecordQueueOptions<Tag> {
  readonly clock: Clock;
  /** Bytes of a batch, values alone; a single larger record goes by itself. */
  readonly batchBytes: number;
  /** How long a record waits for others to go with it. */
  readonly lingerMs: number;
  /** What the broker may take for a batch, beside the time that its bytes take on a thin line. */
  readonly sendMs: number;
  /** Hands a batch to the broker; resolves with the offset that its first record got. */
  send(topic: string, records: readonly SentRecord[]): Promise<bigint>;
  /** The broker has the batch. */
  stored(batch: readonly Queued<Tag>[], offset: bigint): void;
  /** A batch failed, or took too long (`error` undefined); the queue has stopped. */
  failed(error: unknown): void;
}

/** More make kafkajs slow: it sorts a send's messages by partitions in quadratic time. */
const BATCH_MESSAGES = 500;
/** A line is taken to carry as much at least; a batch has so much longer. */
const LEAST_BYTES_PER_MS = 32;
/** Sent entries are cut off the front once there are this many. */
const SPENT_ENTRIES = 1024;

/**
 * Records on their way to the broker: one batch at a time, what comes meanwhile is the next one. Order is kept, and whatever fails
 * stops it: nothing overtakes what is in doubt.
 */
export class RecordQueue<Tag> {
  readonly #options: RecordQueueOptions<Tag>;
  #entries: Queued<Tag>[] = [];
  /** Entries before it are stored. */
  #first = 0;
  /** Bytes of values that are not stored yet. */
  #waitingBytes = 0;
  /** When the oldest record that is not on its way came, on the monotonic clock. */
  #since = 0;
  #flying = 0;
  #planned: Disposable | undefined;
  #soon = false;
  #stopped = false;
  readonly #idle: (() => void)[] = [];

  constructor(options: RecordQueueOptions<Tag>) {
    this.#options = options;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  push(entry: Queued<Tag>): void {
    if (this.#stopped) return;
    if (this.#entries.length === this.#first + this.#flying) this.#since = this.#options.clock.monotonic();
    this.#entries.push(entry);
    this.#waitingBytes += sizeOf(entry);
    this.#plan();
  }

  /** Resolves when nothing waits any more: all is stored, or the queue has stopped. */
  async idle(): Promise<void> {
    if (this.#waitingBytes > 0 && !this.#stopped) await new Promise<void>(resolve => this.#idle.push(resolve));
  }

  /** What is on its way may still arrive; nothing is told any more. */
  stop(): void {
    this.#stopped = true;
    this.#planned?.[Symbol.dispose]();
    this.#entries = [];
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Looks at the queue once this turn of the event loop is over, or has lingered. */
  #plan(): void {
    const isFull = this.#isFull();
    if (this.#flying > 0 || this.#soon || (this.#planned !== undefined && !isFull)) return;
    this.#planned?.[Symbol.dispose]();
    const { clock, lingerMs } = this.#options;
    const waitMs = lingerMs === 0 || isFull ? 0 : this.#since + lingerMs - clock.monotonic();
    if (waitMs > 0) {
      this.#planned = clock.after(waitMs, () => this.#go());
      return;
    }
    this.#soon = true;
    clock.soon(() => this.#go());
  }

  #isFull(): boolean {
    return this.#waitingBytes >= this.#options.batchBytes || this.#entries.length - this.#first >= BATCH_MESSAGES;
  }

  #go(): void {
    this.#soon = false;
    this.#planned = undefined;
    if (this.#stopped || this.#flying > 0) return;
    const batch = this.#cut();
    if (batch.length === 0) return;
    this.#flying = batch.length;
    this.#since = this.#options.clock.monotonic();
    void this.#send(batch);
  }

  /** The next batch: of one topic, as large as it may be, and at least one record. */
  #cut(): Queued<Tag>[] {
    const { batchBytes } = this.#options;
    const batch: Queued<Tag>[] = [];
    let bytes = 0;
    for (let at = this.#first; at < this.#entries.length && batch.length < BATCH_MESSAGES; at++) {
      const entry = this.#entries[at]!;
      const size = sizeOf(entry);
      if (batch.length > 0 && (bytes + size > batchBytes || entry.topic !== batch[0]!.topic)) break;
      batch.push(entry);
      bytes += size;
    }
    return batch;
  }

  async #send(batch: readonly Queued<Tag>[]): Promise<void> {
    const { clock, sendMs } = this.#options;
    const bytes = batch.reduce((sum, entry) => sum + sizeOf(entry), 0);
    const deadline = clock.after(sendMs + bytes / LEAST_BYTES_PER_MS, () => this.#fail(undefined));
    try {
      const records = batch.map(({ record }) => record);
      const offset = await this.#options.send(batch[0]!.topic, records);
      if (!this.#stopped) this.#stored(batch, offset);
    } catch (error) {
      this.#fail(error);
    } finally {
      deadline[Symbol.dispose]();
    }
  }

  #stored(batch: readonly Queued<Tag>[], offset: bigint): void {
    this.#flying = 0;
    this.#first += batch.length;
    for (const entry of batch) this.#waitingBytes -= sizeOf(entry);
    if (this.#first >= SPENT_ENTRIES || this.#first === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    this.#options.stored(batch, offset);
    if (this.#waitingBytes === 0) for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#entries.length > this.#first && !this.#stopped) this.#plan();
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    this.#options.failed(error);
  }
}

/** What the broker counts for a record beside its value: key, headers, lengths. */
const RECORD_BYTES = 128;

function sizeOf({ record }: Queued<unknown>): number {
  return (record.value?.length ?? 0) + RECORD_BYTES;
}
