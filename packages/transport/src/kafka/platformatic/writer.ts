import { setTimeout as sleep } from 'node:timers/promises';
import { EvertreeError } from '@evertree/core';
import type { Connection, Writer } from '@platformatic/kafka';
import type { BrokerOptions, RecordWriter, WriterOptions } from '../broker.ts';
import { Calls } from '../client/calls.ts';
import { ACKS, WRITE_RETRY } from '../client/settings.ts';
import type { SentRecord } from '../records.ts';
import { Cluster } from './cluster.ts';
import { canRetry } from './errors.ts';
import { explain } from './failures.ts';
import type { Library } from './library.ts';
import { NO_ORIGIN, encodeBatch, encodeRecords } from './record-batch.ts';
import type { BatchOrigin, EncodedRecords } from './record-batch.ts';

/** Kafka counts a producer's records in 31 bits. */
const SEQUENCES = 2 ** 31;
const ANY_TIMEOUT_MS = 0;

interface ProducerIdentity {
  readonly id: bigint;
  readonly epoch: number;
  /** By topic and partition: the number that the next record gets there. */
  readonly sequences: Map<string, number>;
}

/**
 * Sends batches, one at a time. The library's Producer is not used: it asks for a new identity, and sends again, when
 * the broker finds a gap in the sequence of batches, where a batch may be missing or written twice.
 */
export class PlatformaticWriter implements RecordWriter {
  readonly #library: Library;
  readonly #broker: BrokerOptions;
  readonly #options: WriterOptions;
  readonly #cluster: Cluster;
  /** What the broker knows this writer as; undefined after a send in doubt, and for a writer that is not idempotent. */
  #producer: ProducerIdentity | undefined;
  #isClosed = false;

  /** Connects nowhere yet. */
  constructor(library: Library, broker: BrokerOptions, options: WriterOptions) {
    this.#library = library;
    this.#broker = broker;
    this.#options = options;
    this.#cluster = new Cluster(library, { connection: broker.connection, answerMs: options.answerMs, clock: broker.clock });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  connect(): Promise<void> {
    return new Calls(this.#broker, this.#cluster.nodes, explain).call(
      this.#cluster.retrying(async () => {
        if (this.#options.idempotent === true) await this.#introduced();
        else await this.#cluster.metadata([]);
      }),
    );
  }

  async send(topic: string, partition: number, records: readonly SentRecord[]): Promise<bigint> {
    try {
      const encoded = await encodeRecords(records, this.#options.compression ?? 'none', this.#now());
      return await this.#send(topic, partition, encoded);
    } catch (error) {
      // Nothing is known of the batch: a new identity begins a new sequence.
      this.#producer = undefined;
      throw explain(error, this.#broker.connection);
    }
  }

  abandon(): void {
    this.#cluster.abandon();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#cluster.close();
  }

  async #send(topic: string, partition: number, records: EncodedRecords): Promise<bigint> {
    const place = `${topic}:${partition}`;
    const producer = this.#options.idempotent === true ? await this.#introduced() : undefined;
    const sequence = producer?.sequences.get(place) ?? 0;
    const origin = producer === undefined ? NO_ORIGIN : { producerId: producer.id, epoch: producer.epoch, sequence };
    const batch = this.#batch(records, origin);
    const offset = await this.#attempt(() =>
      this.#cluster.askLeader(topic, partition, connection => this.#produce(connection, topic, partition, batch)),
    );
    producer?.sequences.set(place, (sequence + records.count) % SEQUENCES);
    return offset;
  }

  /** Sends a batch again whose answer was lost; with idempotence the broker knows it by its sequence. */
  async #attempt(work: () => Promise<bigint>): Promise<bigint> {
    const retries = this.#options.retries ?? WRITE_RETRY.retries;
    for (let attempt = 0; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        this.#cluster.forget();
        if (attempt >= retries || !canRetry(error)) throw error;
      }
      await sleep(Math.min(WRITE_RETRY.firstPauseMs * 2 ** attempt, WRITE_RETRY.mostPauseMs));
    }
  }

  /** For records without a time. */
  #now(): number {
    const { clock } = this.#broker;
    return clock === undefined ? new Date().getTime() : clock.now();
  }

  async #introduced(): Promise<ProducerIdentity> {
    if (this.#producer !== undefined) return this.#producer;
    const { initProducerId } = this.#cluster.nodes.requests;
    const { producerId, producerEpoch } = await this.#cluster.askAny(connection => initProducerId.async(connection, null, ANY_TIMEOUT_MS));
    this.#producer = { id: producerId, epoch: producerEpoch, sequences: new Map() };
    return this.#producer;
  }

  #batch(records: EncodedRecords, origin: BatchOrigin): Buffer {
    const { Writer, crc32c } = this.#library;
    // Given a plain buffer, the library's checksum copies it.
    return encodeBatch(records, origin, bytes => crc32c(Writer.create().append(bytes).dynamicBuffer));
  }

  async #produce(connection: Connection, topic: string, partition: number, batch: Buffer): Promise<bigint> {
    const { key, version } = this.#library.produceV8.api;
    const { responses } = await new Promise<ReturnType<Library['produceV8']['parseResponse']>>((resolve, reject) => {
      connection.send<ReturnType<Library['produceV8']['parseResponse']>>(
        key,
        version,
        () => this.#write(topic, partition, batch),
        this.#library.produceV8.parseResponse,
        false,
        false,
        (error, answer) => (error === null ? resolve(answer!) : reject(error)),
      );
    });
    const offset = responses[0]?.partitionResponses[0]?.baseOffset;
    if (offset === undefined) throw new EvertreeError('UNREACHABLE', `the broker answered a send to ${topic} with nothing`);
    return offset;
  }

  /** Produce Request, version 8, of one batch. */
  #write(topic: string, partition: number, batch: Buffer): Writer {
    return this.#library.Writer.create()
      .appendString(null, false)
      .appendInt16(ACKS[this.#options.acks])
      .appendInt32(this.#options.answerMs)
      .appendInt32(1)
      .appendString(topic, false)
      .appendInt32(1)
      .appendInt32(partition)
      .appendInt32(batch.length)
      .append(batch);
  }
}
