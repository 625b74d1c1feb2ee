import { BrokerError, BrokerSilent } from '../../packages/transport/src/kafka/broker.ts';
import type {
  Broker,
  BrokerOptions,
  Fetched,
  NewTopic,
  PartitionReader,
  ReaderOptions,
  RecordWriter,
  TopicPartition,
  Watermarks,
} from '../../packages/transport/src/kafka/broker.ts';
import type { ReceivedRecord, SentRecord } from '../../packages/transport/src/kafka/records.ts';
import type { SimulatedProcess } from './machine.ts';
import type { Paths } from './paths.ts';

/** The name of the brokers' machine, for the paths to it. */
export const CLUSTER = 'kafka';
const FETCH_MS = 100;

/** One partition: each topic here has one. */
class TopicLog {
  low = 0;
  readonly records: ReceivedRecord[] = [];
  /** Fetches that wait for a record. */
  readonly waiting = new Set<() => void>();

  get watermarks(): Watermarks {
    return { low: BigInt(this.low), high: BigInt(this.records.length) };
  }

  append(records: readonly SentRecord[], nowMs: number): bigint {
    const first = this.records.length;
    for (const { key, value, headers, timestamp } of records) {
      this.records.push({ key, value, headers, offset: String(this.records.length), timestamp: timestamp ?? String(nowMs) });
    }
    for (const wake of this.waiting) wake();
    return BigInt(first);
  }
}

/** The topics of a Kafka cluster. They outlive every process; what is answered is as durable as with `acks=all`. */
export class SimulatedCluster {
  readonly #paths: Paths;
  readonly #topics = new Map<string, TopicLog>();

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  /** A client in a process: in place of the one that talks to real brokers. */
  client(process: SimulatedProcess): (options: BrokerOptions) => Broker {
    return ({ answerMs }) => new SimulatedBroker(this.#topics, this.#paths, process, answerMs);
  }

  /** Retention removes all records of a topic but the last few. */
  retain(topic: string, kept: number): void {
    const log = this.#topics.get(topic);
    if (log !== undefined) log.low = Math.max(log.low, log.records.length - kept);
  }

  /** What a topic holds, in order. */
  records(topic: string): readonly ReceivedRecord[] {
    const log = this.#topics.get(topic);
    return log?.records.slice(log.low) ?? [];
  }
}

class SimulatedBroker implements Broker {
  readonly #topics: Map<string, TopicLog>;
  readonly #paths: Paths;
  readonly #process: SimulatedProcess;
  readonly #answerMs: number;
  /** Reject the calls that are under way. */
  readonly #underWay = new Set<(error: Error) => void>();
  #abandoned = false;

  constructor(topics: Map<string, TopicLog>, paths: Paths, process: SimulatedProcess, answerMs: number) {
    this.#topics = topics;
    this.#paths = paths;
    this.#process = process;
    this.#answerMs = answerMs;
  }

  nodes(): Promise<readonly { readonly id: number; readonly address: string }[]> {
    return this.call(() => [{ id: 1, address: CLUSTER }]);
  }

  metadata(topic: string): Promise<readonly TopicPartition[] | undefined> {
    return this.call(() => (this.#topics.has(topic) ? [{ partition: 0, replicas: 3, inSync: 3 }] : undefined));
  }

  listOffsets(topic: string): Promise<ReadonlyMap<number, Watermarks>> {
    return this.call(() => new Map([[0, this.#log(topic).watermarks]]));
  }

  /** Every setting is Kafka's default. */
  describeConfigs(_kind: 'topic' | 'broker', name: string): Promise<ReadonlyMap<string, string>> {
    const policy = name.endsWith('.control') ? 'compact' : 'delete';
    return this.call(() => new Map([['cleanup.policy', policy]]));
  }

  createTopics(topics: readonly NewTopic[]): Promise<void> {
    return this.call(() => {
      for (const { topic } of topics) if (!this.#topics.has(topic)) this.#topics.set(topic, new TopicLog());
    });
  }

  deleteRecords(topic: string, _partition: number, before: bigint): Promise<void> {
    return this.call(() => {
      const log = this.#log(topic);
      log.low = Math.max(log.low, Number(before));
    });
  }

  commitOffset(): Promise<void> {
    return this.call(() => undefined);
  }

  probe(): Promise<void> {
    return this.call(() => undefined);
  }

  async openReader({ topic, maxWaitMs = FETCH_MS }: ReaderOptions): Promise<PartitionReader> {
    const log = await this.call(() => this.#log(topic));
    let isClosed = false;
    const reader: PartitionReader = {
      offsets: () => this.call(() => log.watermarks),
      offsetAt: time =>
        this.call(() => {
          const found = log.records.slice(log.low).find(({ timestamp }) => Number(timestamp) >= time);
          return found === undefined ? undefined : BigInt(found.offset);
        }),
      fetch: async (offset, waitMs = maxWaitMs) => {
        const fetched = await this.call(
          () => this.#fetch(log, offset),
          wake => this.#wait(log, offset, waitMs, wake),
        );
        if (isClosed) throw refused('the reader is closed');
        return fetched;
      },
      close: async () => void (isClosed = true),
      [Symbol.asyncDispose]: () => reader.close(),
    };
    return reader;
  }

  async openWriter(): Promise<RecordWriter> {
    await this.call(() => undefined);
    return {
      send: (topic, _partition, records) => {
        const { clock } = this.#process;
        return this.call(() => this.#log(topic).append(records, clock.now()));
      },
      close: async () => undefined,
    };
  }

  abandon(): void {
    this.#abandoned = true;
    for (const reject of this.#underWay) reject(refused('the client was abandoned'));
  }

  async close(): Promise<void> {
    this.abandon();
  }

  /**
   * Asks the cluster: the request travels, is carried out, and the answer travels back. What is blocked on its way waits
   * there, and may be carried out long after the caller gave up.
   * @param ready calls back once the cluster may answer
   */
  call<T>(carryOut: () => T, ready: (wake: () => void) => void = wake => wake()): Promise<T> {
    if (this.#abandoned) return Promise.reject(refused('the client was abandoned'));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const settle = (done: () => void) => this.#process.run(done);
    const fail = (error: Error) => settle(() => reject(error));
    this.#underWay.add(fail);
    const late = this.#process.clock.after(this.#answerMs, () => reject(new BrokerSilent(CLUSTER, this.#answerMs)));
    const { name } = this.#process.machine;
    this.#travel(name, CLUSTER, fail, () =>
      ready(() => {
        let answer: () => void;
        try {
          const result = carryOut();
          answer = () => resolve(result);
        } catch (error) {
          answer = () => reject(error);
        }
        this.#travel(CLUSTER, name, fail, () => settle(answer));
      }),
    );
    return promise.finally(() => {
      late[Symbol.dispose]();
      this.#underWay.delete(fail);
    });
  }

  #travel(from: string, to: string, lost: (error: Error) => void, arrived: () => void): void {
    const paths = this.#paths;
    if (paths.chance.happens(paths.of(from, to).loss)) {
      paths.time.after(paths.drawDelayMs(from, to), () => lost(refused('the connection broke')));
      return;
    }
    const arrive = () => {
      if (paths.of(from, to).blocked) paths.time.after(BLOCKED_LOOK_MS, arrive);
      else arrived();
    };
    paths.time.after(paths.drawDelayMs(from, to), arrive);
  }

  #fetch(log: TopicLog, offset: bigint): Fetched {
    const { low, high } = log.watermarks;
    if (offset < low || offset > high) throw refused('the offset is out of range', 'OFFSET_OUT_OF_RANGE');
    const records = log.records.slice(Number(offset));
    return { low, high, records, next: offset + BigInt(records.length) };
  }

  /** Until there is a record at the offset, or the wait is over. */
  #wait(log: TopicLog, offset: bigint, waitMs: number, wake: () => void): void {
    if (offset !== log.watermarks.high) return wake();
    const once = () => {
      timer[Symbol.dispose]();
      log.waiting.delete(once);
      wake();
    };
    const timer = this.#paths.time.after(waitMs, once);
    log.waiting.add(once);
  }

  #log(topic: string): TopicLog {
    const log = this.#topics.get(topic);
    if (log === undefined) throw refused(`there is no topic ${topic}`, 'UNKNOWN_TOPIC_OR_PARTITION');
    return log;
  }
}

/** How often a request that is blocked on its way looks whether it may go on. */
const BLOCKED_LOOK_MS = 5;

function refused(what: string, kafka?: string): BrokerError {
  return new BrokerError(kafka === undefined ? 'UNREACHABLE' : 'NOT_FOUND', `${CLUSTER}: ${what}`, { lasting: false, kafka });
}
