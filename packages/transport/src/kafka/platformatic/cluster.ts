import type { Connection, Writer } from '@platformatic/kafka';
import type { WriterOptions } from '../broker.ts';
import type { FetchAnswer } from '../client/fetch-answer.ts';
import { emptyAnswer, missingPartition } from '../client/record-wire.ts';
import type { FetchQuestion, ProducerIdentity, RecordWire } from '../client/record-wire.ts';
import { retrying } from '../client/retrying.ts';
import { ACKS, RETRY } from '../client/settings.ts';
import { canRetry, protocolErrorOf } from './errors.ts';
import { FetchRequest } from './fetch-request.ts';
import type { Library } from './library.ts';
import { Nodes } from './nodes.ts';
import type { NodeAddress, NodeOptions } from './nodes.ts';

/** Kafka's number for a group, of what has a coordinator. */
const GROUP = 0;
const ANY_EPOCH = -1;
/** Kafka's number of what asks and is no replica. */
const CONSUMER = -1;
const ANY_TIMEOUT_MS = 0;

type MetadataResponse = ReturnType<Library['metadataV9']['parseResponse']>;
type MetadataTopic = MetadataResponse['topics'][number];
type ProduceResponse = ReturnType<Library['produceV8']['parseResponse']>;

/** One user's connections to a cluster, and what its nodes last said of who leads where. */
export class Cluster implements RecordWire {
  readonly nodes: Nodes;
  readonly #library: Library;
  readonly #bootstrap: readonly NodeAddress[];
  /** What the last metadata named; those that the user named before that. */
  #known: readonly NodeAddress[] = [];
  /** By topic and partition, until `forget`. */
  readonly #leaders = new Map<string, NodeAddress>();
  /** By group, until `forget`. */
  readonly #coordinators = new Map<string, NodeAddress>();

  constructor(library: Library, options: NodeOptions) {
    this.nodes = new Nodes(library, options);
    this.#library = library;
    this.#bootstrap = options.connection.brokers.map(addressOf);
  }

  get receivedBytes(): number {
    return this.nodes.receivedBytes;
  }

  abandon(): void {
    this.nodes.abandon();
  }

  close(): Promise<void> {
    this.abandon();
    return Promise.resolve();
  }

  /** The next request asks again who leads and who coordinates. */
  forget(): void {
    this.#leaders.clear();
    this.#coordinators.clear();
  }

  canRetry(error: unknown): boolean {
    return canRetry(error);
  }

  /** Tries again what may pass; each attempt asks anew who leads. */
  retrying<T>(work: () => Promise<T>): Promise<T> {
    return retrying(work, RETRY, error => {
      this.forget();
      return canRetry(error);
    });
  }

  /** Asks any node, the next one where one can't be reached. */
  async askAny<T>(request: (connection: Connection) => Promise<T>): Promise<T> {
    let failure: unknown;
    for (const node of [...this.#known, ...this.#bootstrap]) {
      try {
        return await this.nodes.ask(node, request);
      } catch (error) {
        if (protocolErrorOf(error) !== undefined) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  /** Whatever Kafka says of single topics and partitions stands in the answer. */
  async metadata(topics: readonly string[]): Promise<MetadataResponse> {
    const answer = await this.askAny(connection => this.#metadata(connection, topics));
    this.#known = answer.brokers.map(({ host, port }) => ({ host, port }));
    return answer;
  }

  /** @throws an error with Kafka's name where it has one for the topic, or for any of its partitions */
  async topic(name: string): Promise<{ readonly topic: MetadataTopic; readonly brokers: MetadataResponse['brokers'] }> {
    const { topics, brokers } = await this.metadata([name]);
    const topic = topics.find(found => found.name === name);
    if (topic === undefined) throw new this.#library.ProtocolError('UNKNOWN_TOPIC_OR_PARTITION');
    const errorCode = topic.errorCode || topic.partitions.find(partition => partition.errorCode !== 0)?.errorCode;
    if (errorCode) throw new this.#library.ProtocolError(errorCode, null, { topic: name });
    return { topic, brokers };
  }

  async askLeader<T>(topic: string, partition: number, request: (connection: Connection) => Promise<T>): Promise<T> {
    return this.nodes.ask(await this.leader(topic, partition), request);
  }

  /** @throws EvertreeError NOT_FOUND */
  async leader(name: string, partition: number): Promise<NodeAddress> {
    const key = `${name}:${partition}`;
    const known = this.#leaders.get(key);
    if (known !== undefined) return known;
    const { topic, brokers } = await this.topic(name);
    const found = topic.partitions.find(({ partitionIndex }) => partitionIndex === partition);
    if (found === undefined) throw missingPartition(name, partition);
    const leader = nodeOf(brokers, found.leaderId);
    if (leader === undefined) throw new this.#library.ProtocolError('LEADER_NOT_AVAILABLE', null, { topic: name });
    this.#leaders.set(key, leader);
    return leader;
  }

  async connect(): Promise<void> {
    await this.metadata([]);
  }

  /** The leader's connection is made, and answered. */
  async reach(topic: string, partition: number): Promise<void> {
    await this.leader(topic, partition);
    await this.askLeader(topic, partition, () => Promise.resolve());
  }

  fetch(question: FetchQuestion): Promise<FetchAnswer> {
    return this.askLeader(question.topic, question.partition, connection => new FetchRequest(this.#library).send(connection, question));
  }

  async introduce(): Promise<ProducerIdentity> {
    const { initProducerId } = this.nodes.requests;
    const { producerId, producerEpoch } = await this.askAny(connection => initProducerId.async(connection, null, ANY_TIMEOUT_MS));
    return { id: producerId, epoch: producerEpoch };
  }

  async produce(topic: string, partition: number, batch: Buffer, options: WriterOptions): Promise<bigint> {
    const { responses } = await this.askLeader(topic, partition, connection => this.#produce(connection, topic, partition, batch, options));
    const offset = responses[0]?.partitionResponses[0]?.baseOffset;
    if (offset === undefined) throw emptyAnswer('a send to', topic);
    return offset;
  }

  /** The library's is native where it can be. Given a plain buffer, it copies it. */
  checksum(bytes: Buffer): number {
    const { Writer, crc32c } = this.#library;
    return crc32c(Writer.create().append(bytes).dynamicBuffer);
  }

  async offset(topic: string, partition: number, time: bigint, isolationLevel: number): Promise<bigint> {
    const { listOffsets } = this.nodes.requests;
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch: ANY_EPOCH, timestamp: time }];
    const { topics } = await this.askLeader(topic, partition, connection =>
      listOffsets.async(connection, CONSUMER, isolationLevel, [{ name: topic, partitions }]),
    );
    const found = topics[0]?.partitions[0]?.offset;
    if (found === undefined) throw emptyAnswer('a question for offsets of', topic);
    return found;
  }

  async askCoordinator<T>(group: string, request: (connection: Connection) => Promise<T>): Promise<T> {
    let node = this.#coordinators.get(group);
    if (node === undefined) {
      const { coordinators } = await this.askAny(connection => this.nodes.requests.findCoordinator.async(connection, GROUP, [group]));
      const [found] = coordinators;
      if (found === undefined) throw new this.#library.ProtocolError('COORDINATOR_NOT_AVAILABLE');
      node = { host: found.host, port: found.port };
      this.#coordinators.set(group, node);
    }
    return this.nodes.ask(node, request);
  }

  #produce(connection: Connection, topic: string, partition: number, batch: Buffer, options: WriterOptions): Promise<ProduceResponse> {
    const { api, parseResponse } = this.#library.produceV8;
    const write = () => writeProduce(this.#library.Writer.create(), topic, partition, batch, options);
    return new Promise((resolve, reject) => {
      connection.send<ProduceResponse>(api.key, api.version, write, parseResponse, false, false, (error, answer) =>
        error === null ? resolve(answer!) : reject(error),
      );
    });
  }

  async #metadata(connection: Connection, topics: readonly string[]): Promise<MetadataResponse> {
    try {
      return await this.nodes.requests.metadata.async(connection, [...topics], false, false);
    } catch (error) {
      const { response } = error as { readonly response?: MetadataResponse };
      if (response === undefined) throw error;
      return response;
    }
  }
}

/** Produce Request, version 8, of one batch. */
function writeProduce(writer: Writer, topic: string, partition: number, batch: Buffer, { acks, answerMs }: WriterOptions): Writer {
  return writer
    .appendString(null, false)
    .appendInt16(ACKS[acks])
    .appendInt32(answerMs)
    .appendInt32(1)
    .appendString(topic, false)
    .appendInt32(1)
    .appendInt32(partition)
    .appendInt32(batch.length)
    .append(batch);
}

export function nodeOf(brokers: MetadataResponse['brokers'], id: number): NodeAddress | undefined {
  const found = brokers.find(({ nodeId }) => nodeId === id);
  return found && { host: found.host, port: found.port };
}

function addressOf(broker: string): NodeAddress {
  const separator = broker.lastIndexOf(':');
  return { host: broker.slice(0, separator), port: Number(broker.slice(separator + 1)) };
}
