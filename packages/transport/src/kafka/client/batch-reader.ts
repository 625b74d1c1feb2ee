import type { BrokerOptions, Fetched, PartitionReader, ReaderOptions, Watermarks } from '../broker.ts';
import { Calls } from './calls.ts';
import type { Explain } from './failures.ts';
import type { FetchAnswer } from './fetch-answer.ts';
import { decodeBatches } from './record-batch.ts';
import type { DecodedRecords } from './record-batch.ts';
import { EARLIEST, LATEST } from './record-wire.ts';
import type { RecordWire } from './record-wire.ts';
import { retrying } from './retrying.ts';
import { FETCH_BYTES, FETCH_WAIT_MS, READ_COMMITTED, READ_UNCOMMITTED, RETRY } from './settings.ts';

/** Reads one partition, without a group. */
export class BatchReader implements PartitionReader {
  readonly #options: ReaderOptions;
  readonly #answerMs: number;
  readonly #isolationLevel: number;
  readonly #wire: RecordWire;
  readonly #calls: Calls;
  #closed: Promise<void> | undefined;

  /** Connects nowhere yet. @param wire its own */
  constructor(broker: BrokerOptions, options: ReaderOptions, wire: RecordWire, explain: Explain) {
    this.#options = options;
    this.#answerMs = broker.answerMs;
    this.#isolationLevel = options.readUncommitted === true ? READ_UNCOMMITTED : READ_COMMITTED;
    this.#wire = wire;
    this.#calls = new Calls(broker, wire, explain);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  connect(): Promise<void> {
    const { topic, partition } = this.#options;
    return this.#calls.call(
      retrying(
        () => this.#wire.reach(topic, partition),
        RETRY,
        error => this.#failed(error),
      ),
    );
  }

  async offsets(): Promise<Watermarks> {
    const [low, high] = await this.#once(Promise.all([this.#list(EARLIEST), this.#list(LATEST)]));
    return { low, high };
  }

  async offsetAt(time: number): Promise<bigint | undefined> {
    const offset = await this.#once(this.#list(BigInt(time)));
    return offset < 0n ? undefined : offset;
  }

  fetch(offset: bigint, maxWaitMs = this.#options.maxWaitMs ?? FETCH_WAIT_MS): Promise<Fetched> {
    const waitMs = Math.floor(Math.min(maxWaitMs, this.#answerMs / 2));
    return this.#once(this.#fetch(offset, waitMs), waitMs);
  }

  abandon(): void {
    this.#wire.abandon();
  }

  close(): Promise<void> {
    this.#closed ??= this.#wire.close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #fetch(offset: bigint, waitMs: number): Promise<Fetched> {
    const { topic, partition, minBytes = 1, maxBytes = FETCH_BYTES } = this.#options;
    const question = { topic, partition, offset, waitMs, minBytes, maxBytes, isolationLevel: this.#isolationLevel };
    const answer = await this.#wire.fetch(question);
    const { records, next = offset } = await this.#decode(answer, offset);
    return { records, next, low: answer.low, high: answer.high };
  }

  /** @throws an error that names the topic, too */
  async #decode({ records, aborted }: FetchAnswer, offset: bigint): Promise<DecodedRecords> {
    try {
      return await decodeBatches(records, offset, aborted);
    } catch (error) {
      throw error instanceof Error ? Object.assign(error, { topic: this.#options.topic }) : error;
    }
  }

  #list(time: bigint): Promise<bigint> {
    const { topic, partition } = this.#options;
    return this.#wire.offset(topic, partition, time, this.#isolationLevel);
  }

  /** After a failure the next call asks again who leads. */
  async #once<T>(work: Promise<T>, expectedMs?: number): Promise<T> {
    try {
      return await this.#calls.call(work, expectedMs);
    } catch (error) {
      this.#wire.forget();
      throw error;
    }
  }

  #failed(error: unknown): boolean {
    this.#wire.forget();
    return this.#wire.canRetry(error);
  }
}
