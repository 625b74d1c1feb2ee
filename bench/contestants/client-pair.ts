import { setTimeout as sleep } from 'node:timers/promises';
import type { KafkaClientName } from '@evertree/transport/kafka';
import { createClient } from '../../packages/transport/src/kafka/kafkajs/client.ts';
import type { KafkaBroker } from '../../test/support/kafka/broker.ts';
import { now } from '../clock.ts';
import type { ClientTasks } from '../clients/tasks.ts';
import { Worker } from '../worker.ts';

const CHILD = new URL('../clients/child.ts', import.meta.url);
const SMALL_FRAME_BYTES = 300;
/** How long frames flow before the broker is killed, and after it is back. */
const BEFORE_MS = 1_500;
const AFTER_MS = 4_000;

/** A client of Kafka, writing in one process and reading in another. */
export class ClientPair {
  readonly #writer = new Worker<ClientTasks>(CHILD);
  readonly #reader = new Worker<ClientTasks>(CHILD);

  static async start(name: KafkaClientName, { address }: KafkaBroker): Promise<ClientPair> {
    const pair = new ClientPair();
    const topic = `client-${name}`;
    await makeTopic(address, topic);
    for (const end of [pair.#writer, pair.#reader]) await end.call('load', name, address, topic);
    await pair.#writer.call('openWriter');
    await pair.#reader.call('openReader');
    return pair;
  }

  /** Frames a second until the last was received, and microseconds of CPU a frame, both processes. */
  async throughput(bytes: number, framesASend: number, count: number): Promise<{ readonly perSecond: number; readonly cpuUs: number }> {
    await this.#reader.call('skip');
    const before = await this.#cpu();
    const received = this.#reader.call('read', count);
    const started = await this.#writer.call('write', bytes, framesASend, count);
    const ended = (await received).at(-1)!;
    return { perSecond: (count / (ended - started)) * 1e3, cpuUs: ((await this.#cpu()) - before) / count };
  }

  /** @returns for each frame, milliseconds from its send until the other process had it */
  async lag(count: number): Promise<number[]> {
    await this.#reader.call('skip');
    const received = this.#reader.call('read', count);
    const sent = await this.#writer.call('writeSingly', SMALL_FRAME_BYTES, count);
    return (await received).map((time, index) => time - sent[index]!);
  }

  /** @returns milliseconds from when the broker, killed, takes connections again until a frame arrives */
  async recovery(broker: KafkaBroker, awayMs: number): Promise<number> {
    await this.#reader.call('skip');
    await this.#reader.call('listen');
    await this.#writer.call('beat', SMALL_FRAME_BYTES);
    await sleep(BEFORE_MS);
    await broker.kill();
    await sleep(awayMs);
    await broker.restart();
    const back = now();
    await sleep(AFTER_MS);
    await this.#writer.call('stop');
    const heard = (await this.#reader.call('stop')).find(time => time > back);
    return heard === undefined ? Infinity : heard - back;
  }

  async close(): Promise<void> {
    await this.#writer.kill();
    await this.#reader.kill();
  }

  async #cpu(): Promise<number> {
    return (await this.#writer.call('cpu')) + (await this.#reader.call('cpu'));
  }
}

async function makeTopic(broker: string, topic: string): Promise<void> {
  const admin = createClient({ brokers: [broker] }, () => undefined).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] });
  await admin.disconnect();
}
