import { EvertreeError } from '@evertree/core';
import type Cluster from 'kafkajs/src/cluster/index.js';
import Batch from 'kafkajs/src/consumer/batch.js';
import type { BrokerOptions, Fetched, PartitionReader, ReaderOptions, Watermarks } from '../broker.ts';
import { Calls } from '../client/calls.ts';
import { FETCH_BYTES, FETCH_WAIT_MS, READ_COMMITTED, READ_UNCOMMITTED } from '../client/settings.ts';
import { explain } from './failures.ts';
import { OwnCluster } from './cluster.ts';

/** `ListOffsets` asks with these for the log's ends. */
const EARLIEST = '-2';
const LATEST = '-1';

/** Reads one partition with what lies below kafkajs's consumer. */
export class KafkajsReader implements PartitionReader {
  readonly #options: ReaderOptions;
  readonly #answerMs: number;
  readonly #isolationLevel: number;
  readonly #own: OwnCluster;
  readonly #calls: Calls;
  #closed: Promise<void> | undefined;

  /** Connects nowhere yet. */
  constructor(broker: BrokerOptions, options: ReaderOptions) {
    this.#options = options;
    this.#answerMs = broker.answerMs;
    this.#isolationLevel = options.readUncommitted === true ? READ_UNCOMMITTED : READ_COMMITTED;
    this.#own = new OwnCluster(broker, this.#isolationLevel);
    this.#calls = new Calls(broker, this.#own, explain);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  connect(): Promise<void> {
    return this.#calls.call(this.#connect());
  }

  async offsets(): Promise<Watermarks> {
    const [low, high] = await this.#calls.call(Promise.all([this.#list(EARLIEST), this.#list(LATEST)]));
    return { low, high };
  }

  async offsetAt(time: number): Promise<bigint | undefined> {
    const offset = await this.#calls.call(this.#list(String(time)));
    return offset < 0n ? undefined : offset;
  }

  fetch(offset: bigint, maxWaitMs = this.#options.maxWaitMs ?? FETCH_WAIT_MS): Promise<Fetched> {
    const waitMs = Math.min(maxWaitMs, this.#answerMs / 2);
    return this.#calls.call(this.#fetch(offset, waitMs), waitMs);
  }

  abandon(): void {
    this.#own.abandon();
  }

  close(): Promise<void> {
    this.#closed ??= this.#own.close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #connect(): Promise<void> {
    const { cluster } = this.#own;
    await cluster.connect();
    await cluster.addTargetTopic(this.#options.topic);
    await this.#leader();
  }

  async #fetch(offset: bigint, maxWaitTime: number): Promise<Fetched> {
    const { topic, partition, minBytes = 1, maxBytes = FETCH_BYTES } = this.#options;
    const broker = await this.#leader();
    const fetchOffset = offset.toString();
    const { responses } = await broker.fetch({
      isolationLevel: this.#isolationLevel,
      maxWaitTime,
      minBytes,
      maxBytes,
      topics: [{ topic, partitions: [{ partition, fetchOffset, maxBytes }] }],
    });
    const answer = responses[0]?.partitions[0];
    if (answer === undefined) throw new EvertreeError('UNREACHABLE', `the broker answered a fetch of ${topic} with nothing`);
    const batch = new Batch(topic, fetchOffset, { ...answer, partition });
    const next = batch.isEmptyIncludingFiltered() ? offset : BigInt(batch.lastOffset()) + 1n;
    return { records: batch.messages, next, low: BigInt(answer.lastStartOffset), high: BigInt(answer.highWatermark) };
  }

  async #list(timestamp: string): Promise<bigint> {
    const { topic, partition } = this.#options;
    const broker = await this.#leader();
    const partitions = [{ partition, timestamp }];
    const { responses } = await broker.listOffsets({ isolationLevel: this.#isolationLevel, topics: [{ topic, partitions }] });
    return BigInt(responses[0]?.partitions[0]?.offset ?? -1);
  }

  async #leader(): Promise<Awaited<ReturnType<Cluster['findBroker']>>> {
    const { topic, partition } = this.#options;
    const { cluster } = this.#own;
    const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]));
    if (nodeId === undefined) {
      const remedy = 'name another, or add it with `kafka-topics.sh --alter --partitions`';
      throw new EvertreeError('NOT_FOUND', `the topic ${topic} has no partition ${partition}; ${remedy}`, { topic, partition });
    }
    return cluster.findBroker({ nodeId });
  }
}
