import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { Clock, ErrorCode, ErrorDetails, Reporter } from '@evertree/core';
import type { KafkaConnection } from './options.ts';
import type { ReceivedRecord, SentRecord } from './records.ts';

/*
 * Everything that the two ends of this wire ask of a Kafka client. kafkajs/ and platformatic/ implement it. Nothing
 * outside of those folders knows a client.
 */

export interface BrokerOptions {
  readonly connection: KafkaConnection;
  readonly report: Reporter;
  /** With it, `answerMs` bounds the time without any byte from the broker; without it, the time of each answer. */
  readonly clock?: Clock | undefined;
  readonly answerMs: number;
}

/**
 * The brokers of one cluster, as one user sees them.
 *
 * Laws:
 * - It connects when it is first asked for something. Each reader, each writer, and everything else together have
 *   connections of their own, so that none waits for the answers to another.
 * - Every method rejects with a BrokerError that names the broker, the cause and the remedy; with BrokerSilent where no
 *   byte came for `answerMs`. The client's own attempts end within about a second; trying again is the caller's
 *   business.
 * - A connection that broke between two calls is made again by the next call. A writer also sends a batch again whose
 *   answer was lost. So a cut that the client mends is told to nobody.
 * - Once a call was in doubt (it failed, or is late) nothing is known of what the broker did. Who can't bear that
 *   abandons the whole object and looks again through a new one.
 * - What a method returns belongs to the caller; buffers that are handed in must not change until the call is over.
 */
export interface Broker {
  /** The brokers there are. */
  nodes(): Promise<readonly BrokerNode[]>;
  /** The topic's partitions; undefined where there is no such topic. Makes none. */
  metadata(topic: string): Promise<readonly TopicPartition[] | undefined>;
  /** Where each partition of a topic begins and ends. */
  listOffsets(topic: string): Promise<ReadonlyMap<number, Watermarks>>;
  /** The settings of a topic, or of a broker, by their names. */
  describeConfigs(kind: 'topic' | 'broker', name: string): Promise<ReadonlyMap<string, string>>;
  /** Makes topics, and waits until they have leaders. */
  createTopics(topics: readonly NewTopic[]): Promise<void>;
  /** Removes the records before an offset, and nothing else. */
  deleteRecords(topic: string, partition: number, before: bigint): Promise<void>;
  /**
   * Commits an offset under a group's name, without being a member of the group.
   * @param offset of the next record to be read
   */
  commitOffset(group: string, topic: string, partition: number, offset: bigint): Promise<void>;
  /** Resolves if this user may do that, as far as the broker tells; rejects with FORBIDDEN if not. Changes nothing. */
  probe(right: Right, name: string): Promise<void>;
  /** A reader that is connected. Rejects with NOT_FOUND for a partition that is not there. */
  openReader(options: ReaderOptions): Promise<PartitionReader>;
  /** A writer that is connected. */
  openWriter(options: WriterOptions): Promise<RecordWriter>;
  /** Cuts all connections and makes no more. Open calls reject now, or within two seconds. Idempotent. */
  abandon(): void;
  /** Abandons the client and releases what it holds, in bounded time even if no broker answers. Never rejects. */
  close(): Promise<void>;
}

export type Right = 'create' | 'read' | 'write' | 'commit';

export interface BrokerNode {
  readonly id: number;
  readonly address: string;
}

export interface TopicPartition {
  readonly partition: number;
  readonly replicas: number;
  readonly inSync: number;
}

export interface NewTopic {
  readonly topic: string;
  readonly partitions: number;
  readonly settings: Readonly<Record<string, string>>;
}

export interface Watermarks {
  /** The first offset that is there. */
  readonly low: bigint;
  /** The offset of the next record. */
  readonly high: bigint;
}

export interface Fetched extends Watermarks {
  readonly records: readonly ReceivedRecord[];
  /** The offset of the next fetch: after the records, and after the markers of transactions between them. */
  readonly next: bigint;
}

export interface ReaderOptions {
  readonly topic: string;
  readonly partition: number;
  /** Whether to read records of transactions that are not committed. */
  readonly readUncommitted?: boolean | undefined;
  /** How long a fetch waits at the broker for `minBytes`; default 500 ms, and never more than half of `answerMs`. */
  readonly maxWaitMs?: number | undefined;
  /** Default 1. */
  readonly minBytes?: number | undefined;
  /** The most bytes that one fetch brings; a single larger batch may exceed it. Default 8 MiB. */
  readonly maxBytes?: number | undefined;
}

/**
 * Reads one partition from wherever it is told to, without a consumer group. It fetches only when it is asked: it holds
 * no records of its own. A fetch outside of the partition rejects (`kafka` is OFFSET_OUT_OF_RANGE) and never goes
 * elsewhere.
 */
export interface PartitionReader extends AsyncDisposable {
  offsets(): Promise<Watermarks>;
  /** The first record whose time is not before this one, milliseconds since 1970; undefined when all are. */
  offsetAt(time: number): Promise<bigint | undefined>;
  /** Waits up to `maxWaitMs` for a record at or after `offset`; may bring less than there is. One call at a time. */
  fetch(offset: bigint, maxWaitMs?: number): Promise<Fetched>;
  /**
   * Cuts the connection: a fetch that waits rejects now. Idempotent; bounded, whatever the broker does. Never rejects.
   */
  close(): Promise<void>;
}

export interface WriterOptions {
  /** `all`: an answer means that every replica in sync has the records; `leader`: that its leader has. */
  readonly acks: 'all' | 'leader';
  /** The broker drops batches that the client sends again. */
  readonly idempotent?: boolean | undefined;
  /** How often the client itself sends a batch again; default 4. */
  readonly retries?: number | undefined;
  readonly compression?: 'none' | 'gzip' | 'zstd' | undefined;
  /** How long an answer to one request may take, even if its bytes are arriving. */
  readonly answerMs: number;
}

export interface RecordWriter {
  /**
   * Sends one batch. Batches arrive in the order of the calls, if each waits for the one before.
   * @returns the offset that the first record got; the others follow it without a gap
   */
  send(topic: string, partition: number, records: readonly SentRecord[]): Promise<bigint>;
  /** Cuts the connection. Never rejects. */
  close(): Promise<void>;
}

/** What the broker, the network or the client said, in one sentence that names the broker, the cause and the remedy. */
export class BrokerError extends EvertreeError {
  /** Trying again will not help: somebody has to change something. */
  readonly lasting: boolean;
  /** Kafka's own name of the error (OFFSET_OUT_OF_RANGE, …), where it was the broker that refused. */
  readonly kafka: string | undefined;

  constructor(code: ErrorCode, message: string, { lasting, kafka }: { lasting: boolean; kafka?: string | undefined }, more?: Cause) {
    super(code, message, more?.details, more?.cause);
    this.lasting = lasting;
    this.kafka = kafka;
  }
}

interface Cause {
  readonly details?: ErrorDetails | undefined;
  readonly cause?: unknown;
}

/** The broker did not answer a request: no byte came. */
export class BrokerSilent extends BrokerError {
  constructor(broker: string, silentMs: number) {
    const message = `the broker ${broker} did not answer, nor begin to, for ${Math.round(silentMs)} ms: is it stuck, or the network?`;
    super('UNREACHABLE', message, { lasting: false }, { details: { broker } });
  }
}

/** Whether the broker said this, by Kafka's own name of the error. */
export function isKafkaError(error: unknown, kafka: string): boolean {
  return error instanceof BrokerError && error.kafka === kafka;
}

/** Any error as one that says whether trying again can help. */
export function asBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  if (!isEvertreeError(error)) {
    return new BrokerError('UNREACHABLE', error instanceof Error ? error.message : String(error), { lasting: false }, { cause: error });
  }
  const { code, message, details } = error;
  return new BrokerError(code, message, { lasting: code !== 'UNREACHABLE' }, { details, cause: error });
}
