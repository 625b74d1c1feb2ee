import type { BrokerOptions, RecordWriter, WriterOptions } from '../broker.ts';
import type { SentRecord } from '../records.ts';
import { Calls } from './calls.ts';
import type { Explain } from './failures.ts';
import { NO_ORIGIN, encodeBatch, encodeRecords } from './record-batch.ts';
import type { EncodedRecords } from './record-batch.ts';
import type { ProducerIdentity, RecordWire } from './record-wire.ts';
import { retrying } from './retrying.ts';
import type { Pauses } from './retrying.ts';
import { RETRY, WRITE_RETRY } from './settings.ts';

/** Kafka counts a producer's records in 31 bits. */
const SEQUENCES = 2 ** 31;

/**
 * Sends batches, one at a time, and numbers them. The clients' own producers are not used: kafkajs copies each record
 * eight times; @platformatic/kafka asks for a new identity, and sends again, when the broker finds a gap in the sequence
 * of batches, where a batch may be missing or written twice.
 */
export class BatchWriter implements RecordWriter {
  readonly #broker: BrokerOptions;
  readonly #options: WriterOptions;
  readonly #wire: RecordWire;
  readonly #explain: Explain;
  /** What the broker knows this writer as; undefined after a send in doubt, and for a writer that is not idempotent. */
  #producer: ProducerIdentity | undefined;
  /** By topic and partition: the number that the next record of `#producer` gets there. */
  readonly #sequences = new Map<string, number>();
  #isClosed = false;

  /** Connects nowhere yet. @param wire its own */
  constructor(broker: BrokerOptions, options: WriterOptions, wire: RecordWire, explain: Explain) {
    this.#broker = broker;
    this.#options = options;
    this.#wire = wire;
    this.#explain = explain;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  connect(): Promise<void> {
    const work = async () => void (this.#options.idempotent === true ? await this.#introduced() : await this.#wire.connect());
    return new Calls(this.#broker, this.#wire, this.#explain).call(this.#retrying(RETRY, work));
  }

  async send(topic: string, partition: number, records: readonly SentRecord[]): Promise<bigint> {
    try {
      const encoded = await encodeRecords(records, this.#options.compression ?? 'none', this.#now());
      return await this.#send(topic, partition, encoded);
    } catch (error) {
      // Nothing is known of the batch: a new identity begins a new sequence.
      this.#producer = undefined;
      throw this.#explain(error, this.#broker.connection);
    }
  }

  abandon(): void {
    this.#wire.abandon();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#wire.close();
  }

  /** Sends a batch again whose answer was lost; with idempotence the broker knows it by its sequence. */
  async #send(topic: string, partition: number, records: EncodedRecords): Promise<bigint> {
    const place = `${topic}:${partition}`;
    const producer = this.#options.idempotent === true ? await this.#introduced() : undefined;
    const sequence = this.#sequences.get(place) ?? 0;
    const origin = producer === undefined ? NO_ORIGIN : { producerId: producer.id, epoch: producer.epoch, sequence };
    const batch = encodeBatch(records, origin, bytes => this.#wire.checksum(bytes));
    const pauses = { ...WRITE_RETRY, retries: this.#options.retries ?? WRITE_RETRY.retries };
    const offset = await this.#retrying(pauses, () => this.#wire.produce(topic, partition, batch, this.#options));
    this.#sequences.set(place, sequenceAfter(sequence, records.count));
    return offset;
  }

  async #introduced(): Promise<ProducerIdentity> {
    if (this.#producer === undefined) {
      this.#producer = await this.#wire.introduce();
      this.#sequences.clear();
    }
    return this.#producer;
  }

  #retrying<T>(pauses: Pauses, work: () => Promise<T>): Promise<T> {
    return retrying(work, pauses, error => {
      this.#wire.forget();
      return this.#wire.canRetry(error);
    });
  }

  /** For records without a time. */
  #now(): number {
    const { clock } = this.#broker;
    return clock === undefined ? new Date().getTime() : clock.now();
  }
}

/** The number of the next record behind so many. After 2^31 - 1 comes 0, as in brokers. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % SEQUENCES;
}
