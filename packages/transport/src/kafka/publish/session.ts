import { EvertreeError } from '@evertree/core';
import type { Clock, Reporter } from '@evertree/core';
import type { Admin, Producer } from 'kafkajs';
import { createClient } from '../client.ts';
import type { KafkaClient } from '../client.ts';
import type { SentRecord } from '../headers.ts';
import { PartitionReader } from '../partition-reader.ts';
import type { Fetched, Watermarks } from '../partition-reader.ts';
import { Patience } from '../patience.ts';
import type { Once } from './once.ts';
import type { Settings } from './settings.ts';
import { TailSearch } from './tail.ts';
import { prepareTopics } from './topics.ts';
import type { TopicFacts } from './topics.ts';

/** What waits for records that are there already. */
const NO_WAIT_MS = 1;
/** The client's own bound for an answer, above those that are kept here: they judge better than it does. */
const ANSWER_MOST_MS = 60_000;
/** Pause between two looks at topics that have just been made, and how many there are: their leaders take a moment. */
const LEADER_WAIT_MS = 100;
const LEADER_LOOKS = 50;

/**
 * The connections of one link, all new: a client of kafkajs that was in doubt once is not trusted again. Frames have a producer of their own, so
 * that a snapshot delays none of them.
 */
export class Session {
  readonly settings: Settings;
  readonly #client: KafkaClient;
  readonly #admin: Admin;
  readonly #frames: Producer;
  readonly #aside: Producer;
  readonly #reader: PartitionReader;
  readonly #control: PartitionReader;
  #facts: TopicFacts | undefined;
  #search: TailSearch | undefined;
  #controlEnds: Watermarks | undefined;
  #answers = 0;
  #lastSeen: number;
  #receivedBytes = 0;
  #seenRecords = 0;
  #seenBytes = 0;
  #reading: Promise<unknown> = Promise.resolve();
  #ended = false;

  /** Connects nowhere yet. */
  constructor(settings: Settings) {
    this.settings = settings;
    this.#lastSeen = settings.clock.now();
    const { connection, report, limits, topics, partition, retries, idempotent } = settings;
    this.#client = createClient(connection, report, ANSWER_MOST_MS);
    this.#admin = this.#client.admin();
    const producer = {
      allowAutoTopicCreation: false,
      idempotent,
      maxInFlightRequests: 1,
      retry: { retries, initialRetryTime: 100, maxRetryTime: 500 },
      // Whoever sends says where to.
      createPartitioner: () => partitionOf,
    };
    this.#frames = this.#client.producer(producer);
    this.#aside = this.#client.producer(producer);
    const reading = { connection, report, clock: settings.clock, answerMs: limits.answerMs, readUncommitted: true } as const;
    this.#reader = new PartitionReader({ ...reading, topic: topics.frames, partition });
    this.#control = new PartitionReader({ ...reading, topic: topics.control, partition: 0 });
  }

  get facts(): TopicFacts {
    return this.#facts ?? notOpen();
  }

  /** Where the topic ends, for whoever has said which stream. */
  get search(): TailSearch {
    return this.#search ?? notOpen();
  }

  /** What the control topic held when the session was opened. */
  get controlEnds(): Watermarks {
    return this.#controlEnds ?? notOpen();
  }

  /** Answers of the broker so far, and when the last one came (Clock.now). */
  get answers(): number {
    return this.#answers;
  }

  get lastSeen(): number {
    return this.#lastSeen;
  }

  /** Values read so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** What the topic's records take on average, as far as has been seen. */
  get recordBytes(): number {
    return this.#seenRecords === 0 ? 0 : this.#seenBytes / this.#seenRecords;
  }

  /** Connects, makes and checks the topics, and reads how the topic ends. @throws kafkajs's errors, EvertreeErrors with what mends it */
  async open(once: Once): Promise<void> {
    const { clock, openingMs, remote } = this.settings;
    await within(clock, openingMs, `connecting to ${remote}`, this.#connect(once));
    // From here on a broker that does not answer is found by its readers; one that answers slowly gets its time.
    this.#controlEnds = await this.#control.offsets();
    const { low, high } = await this.#reader.offsets();
    this.#search = new TailSearch(low, high);
    await this.scan(this.#search);
  }

  /** Reads the present step of a search in the topic. */
  scan(search: TailSearch): Promise<void> {
    return this.#inTurn(async () => {
      for (let offset = search.from; offset < search.end;) {
        const { records, next } = await this.#answered(this.#reader.fetch(offset, NO_WAIT_MS));
        search.take(records);
        this.#count(records);
        // Nothing comes of what was there: the topic is being cut at this moment.
        if (next === offset) throw new EvertreeError('UNREACHABLE', `the topic ${this.settings.topic} gives nothing at offset ${offset}`);
        offset = next;
      }
    });
  }

  /** What the topic reaches from and to. */
  watermarks(): Promise<Watermarks> {
    return this.#inTurn(() => this.#answered(this.#reader.offsets()));
  }

  /** The records of the topic at and after an offset, one fetch of them. */
  look(offset: bigint): Promise<Fetched> {
    return this.#inTurn(() => this.#answered(this.#reader.fetch(offset, NO_WAIT_MS)));
  }

  /** What the control topic has at and after an offset; waits for a while where there is nothing. One call at a time. */
  async fetchControl(offset: bigint, maxWaitMs: number): Promise<Fetched> {
    const fetched = await this.#answered(this.#control.fetch(offset, maxWaitMs));
    for (const { value } of fetched.records) this.#receivedBytes += value?.length ?? 0;
    return fetched;
  }

  sendFrames(topic: string, records: readonly SentRecord[]): Promise<bigint> {
    this.#count(records);
    return this.#send(this.#frames, topic, this.settings.partition, records);
  }

  sendAside(topic: string, records: readonly SentRecord[]): Promise<bigint> {
    return this.#send(this.#aside, topic, 0, records);
  }

  /** Lets go what lies before this offset. */
  async deleteSnapshotsBefore(offset: bigint): Promise<void> {
    const { topics } = this.settings;
    // kafkajs looks for the partition's leader before it has asked for any.
    await this.#admin.fetchTopicOffsets(topics.snapshots);
    await this.#admin.deleteTopicRecords({ topic: topics.snapshots, partitions: [{ partition: 0, offset: offset.toString() }] });
  }

  /** Cuts all connections: whatever waits fails now. Idempotent. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.abandon();
    const { report } = this.settings;
    // Without sockets these are kafkajs's own notes of them; nobody waits for it.
    for (const client of [this.#admin, this.#frames, this.#aside]) void client.disconnect().catch(error => tellLeftOver(report, error));
    for (const reader of [this.#reader, this.#control]) void reader.close().catch((error: unknown) => tellLeftOver(report, error));
  }

  async #connect(once: Once): Promise<void> {
    const { facts, created } = await this.#patience().with(this.#prepare(once));
    this.#facts = facts;
    for (let look = 1; ; look++) {
      try {
        await Promise.all([this.#reader.connect(), this.#control.connect()]);
        await Promise.all([this.#reader.offsets(), this.#control.offsets()]);
        return;
      } catch (error) {
        if (!created || look === LEADER_LOOKS) throw error;
        await new Promise<void>(resolve => void this.settings.clock.after(LEADER_WAIT_MS, resolve));
      }
    }
  }

  async #prepare(once: Once): ReturnType<typeof prepareTopics> {
    await Promise.all([this.#admin.connect(), this.#frames.connect(), this.#aside.connect()]);
    return prepareTopics(this.#admin, this.settings, once);
  }

  /** kafkajs asks a silent broker again and again over the same connection: the outage would be over long before. */
  #patience(): Patience {
    const { clock, connection, limits } = this.settings;
    return new Patience({
      clock,
      broker: connection.brokers.join(', '),
      answerMs: limits.answerMs,
      receivedBytes: () => this.#client.receivedBytes(),
      giveUp: () => this.#client.abandon(),
    });
  }

  async #send(producer: Producer, topic: string, partition: number, records: readonly SentRecord[]): Promise<bigint> {
    const { sendMs, codec } = this.settings;
    const messages = records.map(record => ({ ...record, partition }));
    const answers = await this.#answered(producer.send({ topic, messages, acks: -1, timeout: sendMs, compression: codec }));
    const offset = answers.find(answer => answer.topicName === topic && answer.partition === partition)?.baseOffset;
    if (offset === undefined) throw new EvertreeError('UNREACHABLE', `the broker answered a send to ${topic} with nothing`);
    return BigInt(offset);
  }

  async #answered<T>(answer: Promise<T>): Promise<T> {
    const value = await answer;
    this.#answers += 1;
    this.#lastSeen = this.settings.clock.now();
    return value;
  }

  /** One call of a reader at a time. */
  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#reading.then(call);
    this.#reading = turn.catch(() => undefined);
    return turn;
  }

  #count(records: readonly { readonly value: Buffer | null }[]): void {
    this.#seenRecords += records.length;
    for (const { value } of records) this.#seenBytes += value?.length ?? 0;
  }
}

/** Resolves or rejects as `work` does, and rejects after `ms` at the latest. What comes of the work then is nobody's. */
export async function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const deadline = clock.after(ms, () => late.reject(new EvertreeError('UNREACHABLE', `${what} took longer than ${ms} ms`)));
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    deadline[Symbol.dispose]();
  }
}

function partitionOf({ message }: { message: { partition?: number } }): number {
  return message.partition ?? 0;
}

function notOpen(): never {
  throw new Error('the session is not open');
}

function tellLeftOver(report: Reporter, error: unknown): void {
  report({ level: 'debug', event: 'kafka-left-over', message: 'an abandoned Kafka client ended with an error', details: { error } });
}
