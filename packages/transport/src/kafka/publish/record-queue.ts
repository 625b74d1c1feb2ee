import type { SentRecord } from '../records.ts';

/** A record that waits for the broker, and a tag by which its owner knows it once it is stored. */
export interface Queued<Tag> {
  readonly topic: string;
  readonly record: SentRecord;
  readonly tag: Tag;
}

export interface RecordQueueLimits {
  /** The most bytes of values in a batch; a larger record is a batch by itself. */
  readonly batchBytes: number;
  /** How long a record waits for others to go with it. */
  readonly lingerMs: number;
  /** How long the broker may take for a batch, in addition to the time that its bytes take on a slow line. */
  readonly sendMs: number;
}

export interface RecordBatch {
  readonly topic: string;
  readonly records: readonly SentRecord[];
}

/** A batch of small frames is encoded within a few milliseconds. */
const BATCH_RECORDS = 500;
/** The slowest line that is allowed for: a batch gets the time that its bytes take on it. */
const LEAST_BYTES_PER_MS = 32;
/** Stored entries are cut off the front once there are this many. */
const SPENT_ENTRIES = 1024;
/** What the broker counts for a record beside its value: key, headers, lengths. */
const RECORD_BYTES = 128;

/**
 * Records on their way to the broker: one batch at a time. Records that come meanwhile make up the next batch, so that
 * batches grow with the load. Order is kept. Pure: times are the caller's, milliseconds on the monotonic clock.
 */
export class RecordQueue<Tag> {
  readonly #limits: RecordQueueLimits;
  /** Those before `#first` are stored; the `#flying` ones from there on are on their way; the rest waits. */
  #entries: Queued<Tag>[] = [];
  #first = 0;
  #flying = 0;
  /** Bytes of what is not stored yet. Zero only when nothing is. */
  #waitingBytes = 0;
  /** When the oldest waiting record came, or when the batch before was cut, if that was later. */
  #since = 0;
  #lateAt = Infinity;

  constructor(limits: RecordQueueLimits) {
    this.#limits = limits;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** When `cut` will give a batch; Infinity while one is on its way, or nothing waits. */
  get dueAt(): number {
    if (this.#flying > 0 || this.#waits === 0) return Infinity;
    const isFull = this.#waitingBytes >= this.#limits.batchBytes || this.#waits >= BATCH_RECORDS;
    return isFull ? this.#since : this.#since + this.#limits.lingerMs;
  }

  /** When the broker has taken too long for the batch that is on its way. */
  get lateAt(): number {
    return this.#lateAt;
  }

  push(entry: Queued<Tag>, now: number): void {
    if (this.#waits === 0) this.#since = now;
    this.#entries.push(entry);
    this.#waitingBytes += sizeOf(entry);
  }

  /** The next batch, if it is due: of one topic, as large as it may be, and at least one record. */
  cut(now: number): RecordBatch | undefined {
    if (this.dueAt > now) return undefined;
    const records: SentRecord[] = [];
    const { topic } = this.#entries[this.#first]!;
    let bytes = 0;
    for (let at = this.#first; at < this.#entries.length && records.length < BATCH_RECORDS; at++) {
      const entry = this.#entries[at]!;
      const size = sizeOf(entry);
      if (records.length > 0 && (bytes + size > this.#limits.batchBytes || entry.topic !== topic)) break;
      records.push(entry.record);
      bytes += size;
    }
    this.#flying = records.length;
    this.#since = now;
    this.#lateAt = now + this.#limits.sendMs + bytes / LEAST_BYTES_PER_MS;
    return { topic, records };
  }

  /** The broker has the batch. @returns what it held */
  stored(): readonly Queued<Tag>[] {
    const batch = this.#entries.slice(this.#first, this.#first + this.#flying);
    this.#first += this.#flying;
    this.#flying = 0;
    this.#lateAt = Infinity;
    for (const entry of batch) this.#waitingBytes -= sizeOf(entry);
    if (this.#first >= SPENT_ENTRIES || this.#first === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    return batch;
  }

  get #waits(): number {
    return this.#entries.length - this.#first - this.#flying;
  }
}

function sizeOf({ record }: Queued<unknown>): number {
  return (record.value?.length ?? 0) + RECORD_BYTES;
}
