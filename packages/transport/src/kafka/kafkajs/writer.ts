import { EvertreeError } from '@evertree/core';
import kafkajs from 'kafkajs';
import type { CompressionTypes, Producer } from 'kafkajs';
import type { BrokerOptions, RecordWriter, WriterOptions } from '../broker.ts';
import type { SentRecord } from '../records.ts';
import { Calls } from '../client/calls.ts';
import { ACKS, WRITE_RETRY } from '../client/settings.ts';
import { createClient } from './client.ts';
import type { KafkaClient } from './client.ts';
import { explain } from './failures.ts';

/** Sends batches with a producer of kafkajs. */
export class KafkajsWriter implements RecordWriter {
  readonly #broker: BrokerOptions;
  readonly #options: WriterOptions;
  readonly #client: KafkaClient;
  readonly #producer: Producer;
  readonly #codec: CompressionTypes;
  #isClosed = false;

  /** Connects nowhere yet. */
  constructor(broker: BrokerOptions, options: WriterOptions) {
    this.#broker = broker;
    this.#options = options;
    this.#client = createClient(broker.connection, broker.report, options.answerMs);
    const { None, GZIP, ZSTD } = kafkajs.CompressionTypes;
    this.#codec = { none: None, gzip: GZIP, zstd: ZSTD }[options.compression ?? 'none'];
    this.#producer = this.#client.producer({
      allowAutoTopicCreation: false,
      idempotent: options.idempotent === true,
      maxInFlightRequests: 1,
      retry: {
        initialRetryTime: WRITE_RETRY.firstPauseMs,
        maxRetryTime: WRITE_RETRY.mostPauseMs,
        retries: options.retries ?? WRITE_RETRY.retries,
      },
      // The caller names the partition.
      createPartitioner: () => partitionOf,
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  connect(): Promise<void> {
    return new Calls(this.#broker, this.#client, explain).call(this.#producer.connect());
  }

  async send(topic: string, partition: number, records: readonly SentRecord[]): Promise<bigint> {
    const { acks, answerMs } = this.#options;
    const messages = records.map(record => ({ ...record, partition }));
    try {
      const answers = await this.#producer.send({ topic, messages, acks: ACKS[acks], timeout: answerMs, compression: this.#codec });
      const offset = answers.find(answer => answer.topicName === topic && answer.partition === partition)?.baseOffset;
      if (offset === undefined) throw new EvertreeError('UNREACHABLE', `the broker answered a send to ${topic} with nothing`);
      return BigInt(offset);
    } catch (error) {
      throw explain(error, this.#broker.connection);
    }
  }

  abandon(): void {
    this.#client.abandon();
  }

  /** Cuts the sockets; kafkajs only forgets them then. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.abandon();
    await this.#producer.disconnect().catch(() => undefined);
  }
}

function partitionOf({ message }: { message: { partition?: number } }): number {
  return message.partition ?? 0;
}
