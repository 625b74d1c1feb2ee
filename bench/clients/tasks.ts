import { setTimeout as sleep } from 'node:timers/promises';
import { loadKafkaClient } from '@evertree/transport/kafka';
import type { KafkaClientName } from '@evertree/transport/kafka';
import { now } from '../clock.ts';
import { ANSWER_MS, type FrameClient, type FrameReader, type FrameWriter } from './client.ts';
import { brokerClient } from './broker-client.ts';

/** The pause between two frames while a broker dies and comes back, and after a failure. */
const BEAT_MS = 20;
const RETRY_MS = 100;

/** One end of a client: it writes frames to a topic, or reads them. */
export class ClientTasks {
  #client: FrameClient | undefined;
  #broker = '';
  #topic = '';
  #writer: FrameWriter | undefined;
  #reader: FrameReader | undefined;
  #next = 0n;
  #stopping = new AbortController();
  #repeating: Promise<void> = Promise.resolve();
  readonly #heard: number[] = [];

  async load(name: KafkaClientName, broker: string, topic: string): Promise<void> {
    this.#client = brokerClient(await loadKafkaClient(name));
    this.#broker = broker;
    this.#topic = topic;
  }

  async openWriter(): Promise<void> {
    this.#writer = await this.#loaded.openWriter(this.#broker, this.#topic);
  }

  async openReader(): Promise<void> {
    this.#reader = await this.#loaded.openReader(this.#broker, this.#topic);
  }

  /** @returns when the first send began */
  async write(bytes: number, framesASend: number, count: number): Promise<number> {
    const frames = Array.from({ length: framesASend }, () => Buffer.alloc(bytes, 'frame'));
    const started = now();
    for (let done = 0; done < count; done += framesASend) await this.#writer?.send(frames);
    return started;
  }

  /** @returns when each frame was sent, one after the other */
  async writeSingly(bytes: number, count: number): Promise<number[]> {
    const times: number[] = [];
    for (let done = 0; done < count; done++) {
      times.push(now());
      await this.#writer?.send([Buffer.alloc(bytes, 'frame')]);
    }
    return times;
  }

  /** From now on it reads what arrives from now on. */
  async skip(): Promise<void> {
    this.#next = (await this.#reader?.end()) ?? 0n;
  }

  /** @returns when each of the next frames came */
  async read(count: number): Promise<number[]> {
    const times: number[] = [];
    while (times.length < count) {
      const frames = await this.#fetch();
      const time = now();
      for (const _ of frames) times.push(time);
    }
    return times;
  }

  /** Sends a frame every few milliseconds, with a new client whenever one fails, until `stop`. */
  async beat(bytes: number): Promise<void> {
    this.#repeat(
      async () => {
        await this.#writer?.send([Buffer.alloc(bytes)]);
        await sleep(BEAT_MS);
      },
      async () => {
        this.#writer?.abandon();
        await this.openWriter();
      },
    );
  }

  /** Keeps the time of each frame that comes, with a new client whenever one fails, until `stop`. */
  async listen(): Promise<void> {
    this.#repeat(
      async () => {
        const frames = await this.#fetch();
        const time = now();
        for (const _ of frames) this.#heard.push(time);
      },
      async () => {
        this.#reader?.abandon();
        await this.openReader();
      },
    );
  }

  /** @returns when each frame came since `listen` */
  async stop(): Promise<number[]> {
    this.#stopping.abort();
    await this.#repeating;
    return this.#heard;
  }

  /** User and system, microseconds since the process began. */
  async cpu(): Promise<number> {
    const { user, system } = process.cpuUsage();
    return user + system;
  }

  async #fetch(): Promise<readonly Buffer[]> {
    const { frames, next } = await this.#reader!.fetch(this.#next);
    this.#next = next;
    return frames;
  }

  #repeat(work: () => Promise<void>, renew: () => Promise<void>): void {
    this.#stopping = new AbortController();
    this.#repeating = repeat(work, renew, this.#stopping.signal);
  }

  get #loaded(): FrameClient {
    if (this.#client === undefined) throw new Error('no client is loaded');
    return this.#client;
  }
}

async function repeat(work: () => Promise<void>, renew: () => Promise<void>, stopping: AbortSignal): Promise<void> {
  for (let failed = false; !stopping.aborted;) {
    try {
      if (failed) await patiently(renew());
      failed = false;
      await patiently(work());
    } catch {
      // The broker is dead on purpose: try again with a new client.
      failed = true;
      await sleep(RETRY_MS);
    }
  }
}

/** The time after which a client counts as stuck, as in the transport. */
async function patiently<T>(work: Promise<T>): Promise<T> {
  const patience = new AbortController();
  work.catch(() => undefined);
  const late = sleep(ANSWER_MS, undefined, { signal: patience.signal }).then(() => {
    throw new Error('stuck');
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    patience.abort();
  }
}
