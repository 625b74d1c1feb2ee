import { Partitioners } from 'kafkajs';
import type { Producer } from 'kafkajs';
import type { KafkaClient } from '../client.ts';
import type { SentRecord } from '../headers.ts';

/** What is told in `.control` is told again soon: the leader's word is enough. */
const LEADER_ONLY = 1;
const PARTITION = 0;

/** Writes records to `<topic>.control`. A producer that failed is replaced. */
export class ControlWriter {
  readonly #client: KafkaClient;
  readonly #topic: string;
  readonly #answerMs: number;
  #producer: Promise<Producer> | undefined;

  constructor(client: KafkaClient, topic: string, answerMs: number) {
    this.#client = client;
    this.#topic = topic;
    this.#answerMs = answerMs;
  }

  /** Rejects when the broker did not take them all. */
  async write(records: readonly SentRecord[]): Promise<void> {
    this.#producer ??= this.#connect();
    try {
      const producer = await this.#producer;
      const messages = records.map(record => ({ ...record, partition: PARTITION }));
      await producer.send({ topic: this.#topic, messages, acks: LEADER_ONLY, timeout: this.#answerMs });
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  #release(): void {
    const producer = this.#producer;
    this.#producer = undefined;
    // The client's end cuts its connections, if this one hangs.
    void producer?.then(connected => connected.disconnect()).catch(() => undefined);
  }

  async #connect(): Promise<Producer> {
    const producer = this.#client.producer({ allowAutoTopicCreation: false, createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    return producer;
  }
}
