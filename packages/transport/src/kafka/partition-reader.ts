import { EvertreeError } from '@evertree/core';
import type { Clock } from '@evertree/core';
import type Cluster from 'kafkajs/src/cluster/index.js';
import Batch from 'kafkajs/src/consumer/batch.js';
import { createCluster } from './cluster.ts';
import type { ClusterOptions, OwnCluster } from './cluster.ts';
import type { ReceivedRecord } from './headers.ts';
import { Patience } from './patience.ts';

const MEBIBYTE = 1024 * 1024;
const FETCH_BYTES = 8 * MEBIBYTE;
const WAIT_MS = 500;
/** Kafkajs's own bound where Patience has one: it would take an answer that comes slowly for none. */
const SLOWEST_ANSWER_MS = 600_000;
/** `ListOffsets` asks with these for the log's ends. */
const EARLIEST = '-2';
const LATEST = '-1';

export interface PartitionReaderOptions extends ClusterOptions {
  readonly topic: string;
  readonly partition: number;
  /** With it, `answerMs` bounds silence, and not an answer that comes slowly. */
  readonly clock?: Clock | undefined;
  /** How long a fetch waits at the broker for `minBytes`; default 500 ms, and never more than half of `answerMs`. */
  readonly maxWaitMs?: number | undefined;
  /** Default 1. */
  readonly minBytes?: number | undefined;
  /** The most that one fetch brings, but for a single larger batch; default 8 MiB. */
  readonly maxBytes?: number | undefined;
}

export interface Watermarks {
  /** The first offset that is there. */
  readonly low: bigint;
  /** The offset of the next record. */
  readonly high: bigint;
}

export interface Fetched extends Watermarks {
  readonly records: readonly ReceivedRecord[];
  /** Where to go on: after the records, and after what stands between them and is none (markers of transactions). */
  readonly next: bigint;
}

/**
 * Reads one partition from wherever it is told to, over a connection of its own, without a consumer group. It fetches when it is asked
 * and not ahead, so who does not ask holds nothing.
 *
 * Every method rejects with kafkajs's errors (`type` is Kafka's name: OFFSET_OUT_OF_RANGE, NOT_LEADER_FOR_PARTITION, …), and with
 * NOT_FOUND for a partition that is not there.
 */
export class PartitionReader implements AsyncDisposable {
  readonly #options: PartitionReaderOptions;
  readonly #own: OwnCluster;
  readonly #patience: Patience | undefined;
  #closed: Promise<void> | undefined;

  /** Connects nowhere yet. */
  constructor(options: PartitionReaderOptions) {
    this.#options = options;
    const { clock, answerMs, connection } = options;
    if (clock === undefined) {
      this.#own = createCluster(options);
      return;
    }
    this.#own = createCluster({
      ...options,
      answerMs: SLOWEST_ANSWER_MS,
      connection: { ...connection, requestTimeoutMs: undefined },
    });
    const receivedBytes = () => this.#own.receivedBytes;
    this.#patience = new Patience({ clock, broker: connection.brokers.join(', '), answerMs, receivedBytes, giveUp: () => this.abandon() });
  }

  connect(): Promise<void> {
    return this.#wait(this.#connect());
  }

  async offsets(): Promise<Watermarks> {
    const [low, high] = await this.#wait(Promise.all([this.#list(EARLIEST), this.#list(LATEST)]));
    return { low, high };
  }

  /** The first record whose time is not before this one, milliseconds since 1970; undefined when all are. */
  async offsetAt(time: number): Promise<bigint | undefined> {
    const offset = await this.#wait(this.#list(String(time)));
    return offset < 0n ? undefined : offset;
  }

  /** Waits up to `maxWaitMs` for a record at or after `offset`. One call at a time. */
  fetch(offset: bigint, maxWaitMs = this.#options.maxWaitMs ?? WAIT_MS): Promise<Fetched> {
    const waitMs = Math.min(maxWaitMs, this.#options.answerMs / 2);
    return this.#wait(this.#fetch(offset, waitMs), waitMs);
  }

  /** Cuts the connection: a fetch that waits rejects now. */
  abandon(): void {
    this.#own.abandon();
  }

  /** Idempotent; bounded, whatever the broker does. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #wait<T>(work: Promise<T>, expectedMs?: number): Promise<T> {
    return this.#patience === undefined ? work : this.#patience.with(work, expectedMs);
  }

  async #connect(): Promise<void> {
    const { cluster } = this.#own;
    await cluster.connect();
    await cluster.addTargetTopic(this.#options.topic);
    await this.#leader();
  }

  async #fetch(offset: bigint, maxWaitTime: number): Promise<Fetched> {
    const { topic, partition, minBytes = 1, maxBytes = FETCH_BYTES } = this.#options;
    const { isolationLevel } = this.#own;
    const broker = await this.#leader();
    const fetchOffset = offset.toString();
    const { responses } = await broker.fetch({
      isolationLevel,
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

  async #close(): Promise<void> {
    this.#own.abandon();
    // Its sockets are gone; what is left are kafkajs's own notes of them.
    await this.#own.cluster.disconnect().catch(() => undefined);
  }

  async #list(timestamp: string): Promise<bigint> {
    const { topic, partition } = this.#options;
    const { isolationLevel } = this.#own;
    const broker = await this.#leader();
    const { responses } = await broker.listOffsets({ isolationLevel, topics: [{ topic, partitions: [{ partition, timestamp }] }] });
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

/** A reader that is connected. @throws what `connect` does */
export async function openPartitionReader(options: PartitionReaderOptions): Promise<PartitionReader> {
  const reader = new PartitionReader(options);
  try {
    await reader.connect();
    return reader;
  } catch (error) {
    await reader.close();
    throw error;
  }
}
