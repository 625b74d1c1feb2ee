import { parseFrame, readFrameHeader } from '@evertree/core';
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

/** Situations that only a topic makes possible; the simulation has to get into each of them. */
export const TOPIC_TRAPS = ['a topic carries out a request after its caller gave up', 'a frame is written to a topic twice'] as const;

type TopicTrap = (typeof TOPIC_TRAPS)[number];

/** One partition: each topic here has one. */
class TopicLog {
  low = 0;
  /** The offset of the next record. */
  high = 0;
  /** In the order of their offsets, from `low` on; compaction leaves gaps. */
  records: ReceivedRecord[] = [];
  /** The frames that were written, by the epoch's id and the revision. */
  readonly frames = new Set<string>();
  /** Fetches that wait for a record. */
  readonly waiting = new Set<() => void>();

  get watermarks(): Watermarks {
    return { low: BigInt(this.low), high: BigInt(this.high) };
  }

  append(records: readonly SentRecord[], nowMs: number): bigint {
    const first = this.high;
    for (const { key, value, headers, timestamp } of records) {
      this.records.push({ key, value, headers, offset: String(this.high++), timestamp: timestamp ?? String(nowMs) });
    }
    for (const wake of this.waiting) wake();
    return BigInt(first);
  }

  removeBefore(offset: number): void {
    this.low = Math.min(this.high, Math.max(this.low, offset));
    this.records = this.records.filter(record => Number(record.offset) >= this.low);
  }

  /** Removes what a later record of the same key replaced, and what removed its key; but none of the last few records. */
  compact(untouched: number): void {
    const newest = new Map(this.records.map(({ key, offset }) => [String(key), offset]));
    const isKept = ({ key, offset, value }: ReceivedRecord) => newest.get(String(key)) === offset && value !== null;
    this.records = this.records.filter((record, index) => index >= this.records.length - untouched || isKept(record));
  }
}

/** The topics of a Kafka cluster. They outlive every process; what is answered is as durable as with `acks=all`. */
export class SimulatedCluster {
  readonly paths: Paths;
  readonly topics = new Map<string, TopicLog>();
  readonly mark: (trap: TopicTrap) => void;

  constructor(paths: Paths, mark: (trap: TopicTrap) => void) {
    this.paths = paths;
    this.mark = mark;
  }

  /** A client in a process: in place of the one that talks to real brokers. */
  client(process: SimulatedProcess): (options: BrokerOptions) => Broker {
    return ({ answerMs }) => new SimulatedBroker(this, process, answerMs);
  }

  /** Retention removes all records of a topic but the last few. */
  retain(topic: string, kept: number): void {
    const log = this.topics.get(topic);
    log?.removeBefore(log.high - kept);
  }

  /** Compaction reaches all records of a topic but the last few. */
  compact(topic: string, untouched: number): void {
    this.topics.get(topic)?.compact(untouched);
  }

  /** Somebody deletes it: the next primary makes it anew. */
  delete(topic: string): void {
    this.topics.delete(topic);
  }

  /** The stream of a topic's last frame; undefined where there is none. */
  streamOf(topic: string): string | undefined {
    const log = this.topics.get(topic);
    const last = log?.records.findLast(isFrame)?.value;
    return last ? parseFrame(last).header.stream : undefined;
  }
}

class SimulatedBroker implements Broker {
  readonly #cluster: SimulatedCluster;
  readonly #process: SimulatedProcess;
  readonly #answerMs: number;
  /** Reject the calls that are under way. */
  readonly #underWay = new Set<(error: Error) => void>();
  #abandoned = false;

  constructor(cluster: SimulatedCluster, process: SimulatedProcess, answerMs: number) {
    this.#cluster = cluster;
    this.#process = process;
    this.#answerMs = answerMs;
  }

  nodes(): Promise<readonly { readonly id: number; readonly address: string }[]> {
    return this.call(() => [{ id: 1, address: CLUSTER }]);
  }

  metadata(topic: string): Promise<readonly TopicPartition[] | undefined> {
    return this.call(() => (this.#cluster.topics.has(topic) ? [{ partition: 0, replicas: 3, inSync: 3 }] : undefined));
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
      for (const { topic } of topics) if (!this.#cluster.topics.has(topic)) this.#cluster.topics.set(topic, new TopicLog());
    });
  }

  deleteRecords(topic: string, _partition: number, before: bigint): Promise<void> {
    return this.call(() => this.#log(topic).removeBefore(Number(before)));
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
      offsets: () => this.call(() => this.#log(topic).watermarks),
      offsetAt: time =>
        this.call(() => {
          const found = log.records.find(({ timestamp }) => Number(timestamp) >= time);
          return found === undefined ? undefined : BigInt(found.offset);
        }),
      fetch: async (offset, waitMs = maxWaitMs) => {
        const fetched = await this.call(
          () => this.#fetch(log, topic, offset),
          wake => this.#wait(log, offset, Math.min(waitMs, this.#answerMs / 2), wake),
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
      send: (topic, _partition, records) => this.call(() => this.#append(this.#log(topic), records)),
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
    const isAwaited = () => this.#underWay.has(fail);
    const late = this.#process.clock.after(this.#answerMs, () => reject(new BrokerSilent(CLUSTER, this.#answerMs)));
    const { name } = this.#process.machine;
    this.#travel(name, CLUSTER, fail, () =>
      ready(() => {
        let answer: () => void;
        if (!isAwaited()) this.#cluster.mark('a topic carries out a request after its caller gave up');
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
    const { paths } = this.#cluster;
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

  #append(log: TopicLog, records: readonly SentRecord[]): bigint {
    for (const { value, headers } of records) {
      if (!isFrame({ headers })) continue;
      const { last } = readFrameHeader(value!);
      const name = `${last.epochId}-${last.revision}`;
      if (log.frames.has(name)) this.#cluster.mark('a frame is written to a topic twice');
      log.frames.add(name);
    }
    return log.append(records, this.#process.clock.now());
  }

  #fetch(log: TopicLog, topic: string, offset: bigint): Fetched {
    if (this.#log(topic) !== log) throw refused(`the topic ${topic} was made anew`, 'UNKNOWN_TOPIC_OR_PARTITION');
    const { low, high } = log.watermarks;
    if (offset < low || offset > high) throw refused('the offset is out of range', 'OFFSET_OUT_OF_RANGE');
    const found = log.records.filter(record => BigInt(record.offset) >= offset);
    // A broker brings as much as it likes.
    const { chance } = this.#cluster.paths;
    const records = found.length > 1 && chance.happens(0.2) ? found.slice(0, 1 + chance.below(found.length)) : found;
    const next = records.length === found.length ? high : BigInt(records.at(-1)!.offset) + 1n;
    return { low, high, records, next };
  }

  /** Until there is a record at the offset, or the wait is over. */
  #wait(log: TopicLog, offset: bigint, waitMs: number, wake: () => void): void {
    if (offset !== log.watermarks.high) return wake();
    const once = () => {
      timer[Symbol.dispose]();
      log.waiting.delete(once);
      wake();
    };
    const timer = this.#cluster.paths.time.after(waitMs, once);
    log.waiting.add(once);
  }

  #log(topic: string): TopicLog {
    const log = this.#cluster.topics.get(topic);
    if (log === undefined) throw refused(`there is no topic ${topic}`, 'UNKNOWN_TOPIC_OR_PARTITION');
    return log;
  }
}

/** How often a request that is blocked on its way looks whether it may go on. */
const BLOCKED_LOOK_MS = 5;

/** A claim has no position. */
function isFrame({ headers }: Pick<ReceivedRecord, 'headers'>): boolean {
  return headers?.['position'] !== undefined;
}

function refused(what: string, kafka?: string): BrokerError {
  return new BrokerError(kafka === undefined ? 'UNREACHABLE' : 'NOT_FOUND', `${CLUSTER}: ${what}`, { lasting: false, kafka });
}
