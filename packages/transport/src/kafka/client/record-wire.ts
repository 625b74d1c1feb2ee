import { EvertreeError } from '@evertree/core';
import type { WriterOptions } from '../broker.ts';
import type { FetchAnswer } from './fetch-answer.ts';
import type { BrokerPart } from './parts.ts';
import type { Connections } from './patience.ts';

/** `ListOffsets` asks with these for the log's ends. */
export const EARLIEST = -2n;
export const LATEST = -1n;

/** What a broker knows a writer as. */
export interface ProducerIdentity {
  readonly id: bigint;
  readonly epoch: number;
}

export interface FetchQuestion {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly waitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolationLevel: number;
}

/**
 * What the readers and writers of both clients ask of their client: the connections of one of them, over which batches
 * of records go encoded. A call fails with the client's own error; nothing is tried again here.
 */
export interface RecordWire extends BrokerPart, Connections {
  connect(): Promise<void>;
  /** Connects to the partition's leader. @throws EvertreeError NOT_FOUND */
  reach(topic: string, partition: number): Promise<void>;
  /**
   * The offset of the first record that is not older; negative where there is none.
   * @param time milliseconds since 1970, EARLIEST or LATEST
   */
  offset(topic: string, partition: number, time: bigint, isolationLevel: number): Promise<bigint>;
  fetch(question: FetchQuestion): Promise<FetchAnswer>;
  /** A new identity. */
  introduce(): Promise<ProducerIdentity>;
  /** @returns the offset of the batch's first record */
  produce(topic: string, partition: number, batch: Buffer, options: WriterOptions): Promise<bigint>;
  /** After a failure: the next request asks again who leads. */
  forget(): void;
  /** Whether the next attempt may succeed. */
  canRetry(error: unknown): boolean;
  /** CRC-32C. */
  checksum(bytes: Buffer): number;
}

export function missingPartition(topic: string, partition: number): EvertreeError {
  const remedy = 'name another, or add it with `kafka-topics.sh --alter --partitions`';
  return new EvertreeError('NOT_FOUND', `the topic ${topic} has no partition ${partition}; ${remedy}`, { topic, partition });
}

/** @param asked what the broker was asked for, about the topic */
export function emptyAnswer(asked: string, topic: string): EvertreeError {
  return new EvertreeError('UNREACHABLE', `the broker answered ${asked} ${topic} with nothing`, { topic });
}
