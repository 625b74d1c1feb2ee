import Cluster from 'kafkajs/src/cluster/index.js';
import type { ClusterBroker, Protocol } from 'kafkajs/src/cluster/index.js';
import loggers from 'kafkajs/src/loggers/index.js';
import { createErrorFromCode } from 'kafkajs/src/protocol/error.js';
import { requests } from 'kafkajs/src/protocol/requests/index.js';
import apiKeys from 'kafkajs/src/protocol/requests/apiKeys.js';
import type { BrokerOptions, WriterOptions } from '../broker.ts';
import { clientPatience } from '../client/calls.ts';
import { crc32c } from '../client/crc32c.ts';
import { readFetchAnswer } from '../client/fetch-answer.ts';
import type { FetchAnswer } from '../client/fetch-answer.ts';
import { FRONT_BYTES, copyWithFront, withFront } from '../client/record-batch.ts';
import { emptyAnswer, missingPartition } from '../client/record-wire.ts';
import type { FetchQuestion, ProducerIdentity, RecordWire } from '../client/record-wire.ts';
import { ACKS, READ_COMMITTED } from '../client/settings.ts';
import { Sockets } from '../client/sockets.ts';
import { clientOptions } from './client.ts';
import { bodyWithFront } from './request-front.ts';

/*
 * kafkajs reads through consumer groups only. A site reads one partition whole and by itself, from where its own
 * journal says: a group gives it nothing, and costs a join at every start (3 s where a broker has its default
 * `group.initial.rebalance.delay.ms`), the wait for a dead predecessor's session, resets of offsets without a word, and
 * a watch on consumers that stop. So what lies below kafkajs's consumer and producer is used as it is: its Cluster and
 * Broker, which speak the protocol. Batches of records go through them encoded.
 */

/** Of a producer without transactions: any. */
const TRANSACTION_MS = 60_000;

/**
 * Connections to a cluster's brokers, of one user: a broker answers the requests of a connection one after the other.
 */
export class OwnCluster implements RecordWire {
  readonly cluster: Cluster;
  readonly #sockets = new Sockets();
  /** Of these the leaders are asked for together. */
  readonly #topics = new Set<string>();
  /** Batches before which a request's head was written. */
  readonly #sent = new WeakSet<Buffer>();
  /** Who leads where is not known, or was not where it was thought to be. */
  #isStale = true;

  constructor(options: BrokerOptions) {
    const { connection, answerMs } = clientPatience(options);
    const { logLevel, logCreator, ...client } = clientOptions(connection, options.report, answerMs, this.#sockets);
    this.cluster = new Cluster({
      ...client,
      logger: loggers.createLogger({ level: logLevel, logCreator }),
      allowAutoTopicCreation: false,
      maxInFlightRequests: null,
      isolationLevel: READ_COMMITTED,
    });
  }

  get receivedBytes(): number {
    return this.#sockets.receivedBytes;
  }

  async connect(): Promise<void> {
    if (!this.#isStale) return;
    await this.cluster.connect();
    await this.cluster.refreshMetadata();
    this.#isStale = false;
  }

  /** A node that is connected, or else the first that can be reached. */
  async anyNode(): Promise<ClusterBroker> {
    await this.connect();
    return this.cluster.brokerPool.findConnectedBroker();
  }

  async reach(topic: string, partition: number): Promise<void> {
    await this.#leader(topic, partition);
  }

  async offset(topic: string, partition: number, time: bigint, isolationLevel: number): Promise<bigint> {
    const leader = await this.#leader(topic, partition);
    const partitions = [{ partition, timestamp: String(time) }];
    const { responses } = await leader.listOffsets({ isolationLevel, topics: [{ topic, partitions }] });
    const found = responses[0]?.partitions[0]?.offset;
    if (found === undefined) throw emptyAnswer('a question for offsets of', topic);
    return BigInt(found);
  }

  async fetch(question: FetchQuestion): Promise<FetchAnswer> {
    return this.fetchFrom(await this.#leader(question.topic, question.partition), question);
  }

  fetchFrom(node: ClusterBroker, { topic, partition, offset, waitMs, ...asked }: FetchQuestion): Promise<FetchAnswer> {
    const makeRequest = node.lookupRequest(apiKeys.Fetch, requests.Fetch);
    const partitions = [{ partition, fetchOffset: String(offset), maxBytes: asked.maxBytes }];
    const { request, requestTimeout } = makeRequest({ ...asked, maxWaitTime: waitMs, topics: [{ topic, partitions }] });
    const errorOf = (code: number) => Object.assign(createErrorFromCode(code), { topic });
    const decode = async (bytes: Buffer) => readFetchAnswer(bytes, request.apiVersion, topic, errorOf);
    return send(node, { request, requestTimeout, response: { decode, parse: async answer => answer } });
  }

  async introduce(): Promise<ProducerIdentity> {
    const node = await this.anyNode();
    const { producerId, producerEpoch } = await node.initProducerId({ transactionTimeout: TRANSACTION_MS });
    return { id: BigInt(producerId), epoch: producerEpoch };
  }

  async produce(topic: string, partition: number, batch: Buffer, { acks, answerMs }: WriterOptions): Promise<bigint> {
    const leader = await this.#leader(topic, partition);
    const makeRequest = leader.lookupRequest(apiKeys.Produce, requests.Produce);
    const { request, response } = makeRequest({ acks: ACKS[acks], timeout: answerMs, topicData: [] });
    // A socket may still hold the request before: what it sends is not written again.
    const own = this.#sent.has(batch) ? copyWithFront(batch) : batch;
    this.#sent.add(batch);
    const body = produceRequest(ACKS[acks], answerMs, topic, partition, own);
    const encode = async () => bodyWithFront(body, FRONT_BYTES - (body.length - own.length));
    const { topics } = await send(leader, { request: { ...request, encode }, response });
    const offset = topics[0]?.partitions[0]?.baseOffset;
    if (offset === undefined) throw emptyAnswer('a send to', topic);
    return BigInt(offset);
  }

  forget(): void {
    this.#isStale = true;
  }

  /** False once kafkajs itself has tried again as often as it may. */
  canRetry(error: unknown): boolean {
    if (this.#sockets.isAbandoned) return false;
    return error instanceof Error && 'retriable' in error && error.retriable === true;
  }

  checksum(bytes: Buffer): number {
    return crc32c(bytes);
  }

  abandon(): void {
    this.#sockets.abandon();
  }

  /** Cuts the sockets; kafkajs only forgets them then. */
  async close(): Promise<void> {
    this.abandon();
    await this.cluster.disconnect().catch(() => undefined);
  }

  /** @throws EvertreeError NOT_FOUND */
  async #leader(topic: string, partition: number): Promise<ClusterBroker> {
    await this.connect();
    if (!this.#topics.has(topic)) {
      await this.cluster.addTargetTopic(topic);
      this.#topics.add(topic);
    }
    const [nodeId] = Object.keys(this.cluster.findLeaderForPartitions(topic, [partition]));
    if (nodeId === undefined) throw missingPartition(topic, partition);
    return this.cluster.findBroker({ nodeId });
  }
}

/** As kafkajs's Broker sends its own requests. */
async function send<Answer, Data>(broker: ClusterBroker, protocol: Protocol<Answer, Data>): Promise<Data> {
  try {
    return await broker.connectionPool.send(protocol);
  } catch (error) {
    if (error instanceof Error && error.name === 'KafkaJSConnectionClosedError') await broker.disconnect();
    throw error;
  }
}

/**
 * Produce Request, versions 3 to 8, of one batch: what stands before the batch is written into the memory there. A
 * topic's name has 249 bytes at most. kafkajs would encode the records by itself.
 */
function produceRequest(acks: number, timeoutMs: number, topic: string, partition: number, batch: Buffer): Buffer {
  const nameBytes = Buffer.byteLength(topic);
  const body = withFront(batch, 26 + nameBytes);
  let at = body.writeInt16BE(-1, 0); // no transaction
  at = body.writeInt16BE(acks, at);
  at = body.writeInt32BE(timeoutMs, at);
  at = body.writeInt32BE(1, at);
  at = body.writeInt16BE(nameBytes, at);
  at += body.write(topic, at);
  at = body.writeInt32BE(1, at);
  at = body.writeInt32BE(partition, at);
  body.writeInt32BE(batch.length, at);
  return body;
}
