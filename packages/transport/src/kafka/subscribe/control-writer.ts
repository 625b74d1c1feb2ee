import type { Broker, RecordWriter } from '../broker.ts';
import type { SentRecord } from '../records.ts';

const PARTITION = 0;

/** Writes records to `<topic>.control`. A writer that failed is replaced. */
export class ControlWriter {
  readonly #broker: Broker;
  readonly #topic: string;
  readonly #answerMs: number;
  #writer: Promise<RecordWriter> | undefined;

  constructor(broker: Broker, topic: string, answerMs: number) {
    this.#broker = broker;
    this.#topic = topic;
    this.#answerMs = answerMs;
  }

  /** Rejects when the broker did not take them all. */
  async write(records: readonly SentRecord[]): Promise<void> {
    // What is told in `.control` is told again soon: the leader's word is enough.
    this.#writer ??= this.#broker.openWriter({ acks: 'leader', answerMs: this.#answerMs });
    try {
      const writer = await this.#writer;
      await writer.send(this.#topic, PARTITION, records);
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  #release(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    // Without its connections it is done at once.
    void writer?.then(connected => connected.close()).catch(() => undefined);
  }
}
