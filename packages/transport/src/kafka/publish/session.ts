import { EvertreeError } from '@evertree/core';
import type { Clock } from '@evertree/core';
import type { Broker, Fetched, PartitionReader, RecordWriter, Watermarks } from '../broker.ts';
import { createBroker } from '../kafkajs/broker.ts';
import type { SentRecord } from '../records.ts';
import type { Once } from './once.ts';
import type { Settings } from './settings.ts';
import { TailSearch } from './tail.ts';
import { prepareTopics } from './topic-setup.ts';
import type { TopicFacts } from './topic-setup.ts';

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
  readonly #broker: Broker;
  #frames: RecordWriter | undefined;
  #aside: RecordWriter | undefined;
  #reader: PartitionReader | undefined;
  #control: PartitionReader | undefined;
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
    const { connection, report, clock, limits } = settings;
    this.#broker = createBroker({ connection, report, clock, answerMs: limits.answerMs });
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
    this.#controlEnds = await open(this.#control).offsets();
    const { low, high } = await open(this.#reader).offsets();
    this.#search = new TailSearch(low, high);
    await this.scan(this.#search);
  }

  /** Reads the present step of a search in the topic. */
  scan(search: TailSearch): Promise<void> {
    return this.#inTurn(async () => {
      for (let offset = search.from; offset < search.end;) {
        const { records, next } = await this.#answered(open(this.#reader).fetch(offset, NO_WAIT_MS));
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
    return this.#inTurn(() => this.#answered(open(this.#reader).offsets()));
  }

  /** The records of the topic at and after an offset, one fetch of them. */
  look(offset: bigint): Promise<Fetched> {
    return this.#inTurn(() => this.#answered(open(this.#reader).fetch(offset, NO_WAIT_MS)));
  }

  /** What the control topic has at and after an offset; waits for a while where there is nothing. One call at a time. */
  async fetchControl(offset: bigint, maxWaitMs: number): Promise<Fetched> {
    const fetched = await this.#answered(open(this.#control).fetch(offset, maxWaitMs));
    for (const { value } of fetched.records) this.#receivedBytes += value?.length ?? 0;
    return fetched;
  }

  sendFrames(topic: string, records: readonly SentRecord[]): Promise<bigint> {
    this.#count(records);
    return this.#send(open(this.#frames), topic, this.settings.partition, records);
  }

  sendAside(topic: string, records: readonly SentRecord[]): Promise<bigint> {
    return this.#send(open(this.#aside), topic, 0, records);
  }

  /** Lets go what lies before this offset. */
  async deleteSnapshotsBefore(offset: bigint): Promise<void> {
    await this.#broker.deleteRecords(this.settings.topics.snapshots, 0, offset);
  }

  /** Cuts all connections: whatever waits fails now. Idempotent. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    // Nobody waits for what is left of it.
    void this.#broker.close();
  }

  async #connect(once: Once): Promise<void> {
    const { topics, partition, retries, idempotent, compression } = this.settings;
    const writer = { acks: 'all', answerMs: ANSWER_MOST_MS, idempotent, retries, compression } as const;
    [this.#frames, this.#aside] = await Promise.all([this.#broker.openWriter(writer), this.#broker.openWriter(writer)]);
    const { facts, created } = await prepareTopics(this.#broker, this.settings, once);
    this.#facts = facts;
    const reading = { readUncommitted: true } as const;
    for (let look = 1; ; look++) {
      try {
        this.#reader ??= await this.#broker.openReader({ ...reading, topic: topics.frames, partition });
        this.#control ??= await this.#broker.openReader({ ...reading, topic: topics.control, partition: 0 });
        await Promise.all([this.#reader.offsets(), this.#control.offsets()]);
        return;
      } catch (error) {
        if (!created || look === LEADER_LOOKS) throw error;
        await new Promise<void>(resolve => void this.settings.clock.after(LEADER_WAIT_MS, resolve));
      }
    }
  }

  #send(writer: RecordWriter, topic: string, partition: number, records: readonly SentRecord[]): Promise<bigint> {
    return this.#answered(writer.send(topic, partition, records));
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

function open<T>(part: T | undefined): T {
  return part ?? notOpen();
}

function notOpen(): never {
  throw new Error('the session is not open');
}
