import type { ByHandTasks } from '../by-hand/tasks.ts';
import type { Shape } from '../shape.ts';
import { Worker } from '../worker.ts';

const CHILD = new URL('../by-hand/child.ts', import.meta.url);
/** kafkajs sets timers in the past; Node would warn of them in the bench's terminal. */
const FLAGS = ['--disable-warning=TimeoutNegativeWarning'];

export interface ByHandRun {
  /** Changes a second, from the first one made until the last one is applied. */
  readonly visiblePerSecond: number;
  /** User and system, both processes, microseconds a change. */
  readonly cpuUs: number;
}

/**
 * What a careful user writes by hand from kafkajs's README: an idempotent producer, one keyed JSON message a change,
 * 500 messages a send, each send awaited; and a consumer that applies each message to a tree of its own. A process for
 * each side. Only the topic is durable.
 */
export class KafkaByHand {
  readonly #writer = new Worker<ByHandTasks>(CHILD, FLAGS);
  readonly #reader = new Worker<ByHandTasks>(CHILD, FLAGS);
  #sent = 0;
  /** Its first run, with nothing compiled yet: changes a second. */
  firstPerSecond = 0;

  /** @param raw nothing is applied: the bare client */
  static async start(broker: string, topic: string, shape: Shape, raw: boolean): Promise<KafkaByHand> {
    const pair = new KafkaByHand();
    for (const side of [pair.#writer, pair.#reader]) await side.call('connect', broker, topic);
    await pair.#writer.call('makeTopic');
    await pair.#writer.call('startWriting', shape);
    await pair.#reader.call('startReading', raw);
    return pair;
  }

  async throughput(count: number): Promise<ByHandRun> {
    const before = await this.#cpu();
    this.#sent += count;
    const seen = this.#reader.call('arrival', this.#sent);
    const started = await this.#writer.call('write', count);
    const ended = await seen;
    const visiblePerSecond = (count / (ended - started)) * 1e3;
    this.firstPerSecond ||= visiblePerSecond;
    return { visiblePerSecond, cpuUs: ((await this.#cpu()) - before) / count };
  }

  /** @returns for each message, milliseconds from its send until the other process had it */
  async sendToReceive(count: number, bytes: number): Promise<Float64Array> {
    const seen = this.#reader.call('arrivals', this.#sent, count);
    this.#sent += count;
    const sent = await this.#writer.call('sendSingly', count, bytes);
    return (await seen).map((time, index) => time - sent[index]!);
  }

  async close(): Promise<void> {
    await this.#reader.kill();
    await this.#writer.kill();
  }

  async #cpu(): Promise<number> {
    return (await this.#writer.call('cpu')) + (await this.#reader.call('cpu'));
  }
}
