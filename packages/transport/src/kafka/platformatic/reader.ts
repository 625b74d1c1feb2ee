import type { BrokerOptions, Fetched, PartitionReader, ReaderOptions, Watermarks } from '../broker.ts';
import { Calls, clientPatience } from '../client/calls.ts';
import { FETCH_BYTES, FETCH_WAIT_MS, READ_COMMITTED, READ_UNCOMMITTED } from '../client/settings.ts';
import { Cluster, EARLIEST, LATEST } from './cluster.ts';
import { explain } from './failures.ts';
import { FetchRequest } from './fetch-request.ts';
import type { Library } from './library.ts';
import { decodeBatches } from './record-batch.ts';

/** Reads one partition, without a group. */
export class PlatformaticReader implements PartitionReader {
  readonly #options: ReaderOptions;
  readonly #answerMs: number;
  readonly #isolationLevel: number;
  readonly #cluster: Cluster;
  readonly #calls: Calls;
  readonly #fetchRequest: FetchRequest;
  #isClosed = false;

  /** Connects nowhere yet. */
  constructor(library: Library, broker: BrokerOptions, options: ReaderOptions) {
    this.#options = options;
    this.#answerMs = broker.answerMs;
    this.#isolationLevel = options.readUncommitted === true ? READ_UNCOMMITTED : READ_COMMITTED;
    this.#cluster = new Cluster(library, { ...clientPatience(broker), clock: broker.clock });
    this.#calls = new Calls(broker, this.#cluster.nodes, explain);
    this.#fetchRequest = new FetchRequest(library);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  connect(): Promise<void> {
    const { topic, partition } = this.#options;
    return this.#calls.call(
      this.#cluster.retrying(async () => {
        // The leader's connection is made, and answered.
        await this.#cluster.leader(topic, partition);
        await this.#cluster.askLeader(topic, partition, () => Promise.resolve());
      }),
    );
  }

  async offsets(): Promise<Watermarks> {
    const [low, high] = await this.#calls.call(this.#once(() => Promise.all([this.#list(EARLIEST), this.#list(LATEST)])));
    return { low, high };
  }

  async offsetAt(time: number): Promise<bigint | undefined> {
    const offset = await this.#calls.call(this.#once(() => this.#list(BigInt(time))));
    return offset < 0n ? undefined : offset;
  }

  fetch(offset: bigint, maxWaitMs = this.#options.maxWaitMs ?? FETCH_WAIT_MS): Promise<Fetched> {
    const waitMs = Math.min(maxWaitMs, this.#answerMs / 2);
    return this.#calls.call(
      this.#once(() => this.#fetch(offset, Math.floor(waitMs))),
      waitMs,
    );
  }

  abandon(): void {
    this.#cluster.abandon();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#cluster.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** After a failure the next call asks again who leads. */
  async #once<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#cluster.forget();
      throw error;
    }
  }

  async #fetch(offset: bigint, waitMs: number): Promise<Fetched> {
    const { topic, partition, minBytes = 1, maxBytes = FETCH_BYTES } = this.#options;
    const asked = { topic, partition, offset, waitMs, minBytes, maxBytes, isolationLevel: this.#isolationLevel };
    const answer = await this.#cluster.askLeader(topic, partition, connection => this.#fetchRequest.send(connection, asked));
    const { records, next = offset } = await decodeBatches(answer.records, offset, answer.aborted);
    return { records, next, low: answer.low, high: answer.high };
  }

  #list(time: bigint): Promise<bigint> {
    const { topic, partition } = this.#options;
    return this.#cluster.offset(topic, partition, time, this.#isolationLevel);
  }
}
