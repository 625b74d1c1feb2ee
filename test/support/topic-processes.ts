import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk, openJournal } from '@evertree/journal';
import { expect } from 'vitest';
import { treeOf } from './batch-writer.ts';
import { systemClock as clock, systemRandom as random } from './host.ts';
import { testedClientName } from './kafka/client.ts';
import { strictReport } from './reports.ts';
import { SiteProcess, freePort, until } from './site-process.ts';
import { framesOf } from './stores.ts';

export const START_LIMIT_MS = 20_000;
const EQUAL_LIMIT_MS = 30_000;

/** A folder with the two Kafka files for one topic, and the sites that are started in it. */
export class TopicProcesses implements AsyncDisposable {
  readonly path: string;
  readonly topic: string;
  readonly producer: string;
  readonly consumer: string;
  readonly #sites: SiteProcess[] = [];

  private constructor(path: string, topic: string, producer: string, consumer: string) {
    this.path = path;
    this.topic = topic;
    this.producer = producer;
    this.consumer = consumer;
  }

  /** @param more further keys of the producer's file */
  static async at(broker: string, more: object = {}): Promise<TopicProcesses> {
    const path = await mkdtemp(join(tmpdir(), 'evertree-topic-'));
    const topic = `p-${randomUUID().slice(0, 8)}`;
    const [host, port] = broker.split(':');
    const connection = { 'kafka-host': host, 'kafka-port': Number(port) };
    const write = async (name: string, content: object): Promise<string> => {
      await writeFile(join(path, name), JSON.stringify({ 'kafka-client': testedClientName(), 'kafka-connection': connection, ...content }));
      return join(path, name);
    };
    // The sample files, but for the topic and a heartbeat for impatient tests.
    const producer = await write('kafkaProducer.json', {
      'kafka-messaging': { topic, partition: 0, key: 'testKey' },
      'kafka-producer-properties': { retries: 0, 'linger.ms': 1, 'max.block.ms': 1000 },
      ...more,
    });
    const consumer = await write('kafkaConsumer.json', {
      'kafka-messaging': { topic },
      'kafka-consumer-properties': { 'group.id': 'test', 'auto.commit.interval.ms': 200, 'heartbeat.interval.ms': 500 },
    });
    return new TopicProcesses(path, topic, producer, consumer);
  }

  async write(name: string, content: object): Promise<string> {
    await writeFile(join(this.path, name), JSON.stringify(content));
    return join(this.path, name);
  }

  /** Not started yet. */
  async primary(config: string | readonly string[] = this.producer): Promise<SiteProcess> {
    return this.#site('primary', 'a', config);
  }

  /** Not started yet. */
  async secondary(site = 'b', config = this.consumer): Promise<SiteProcess> {
    return this.#site('secondary', site, config);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sites.map(site => site[Symbol.asyncDispose]()));
    await rm(this.path, { recursive: true, force: true });
  }

  /** The bytes of every frame that a stopped site's journal holds, by their positions. */
  async framesOf(site: SiteProcess): Promise<ReadonlyMap<string, Buffer>> {
    const disk = nodeDisk(join(this.path, site.site));
    const journal = await openJournal({ clock, random, report: strictReport, disk, identity: {}, options: {} });
    try {
      const frames = new Map<string, Buffer>();
      for (const { header, bytes } of await framesOf(journal))
        frames.set(`${header.base.revision}-${header.last.revision}`, Buffer.from(bytes));
      return frames;
    } finally {
      await journal.close();
    }
  }

  async #site(role: 'primary' | 'secondary', site: string, config: string | readonly string[]): Promise<SiteProcess> {
    const made = new SiteProcess({ role, site, config, data: join(this.path, site), httpPort: await freePort() });
    this.#sites.push(made);
    return made;
  }
}

/** Resolves when the secondary holds what the primary does, as both tell. */
export async function untilEqual(primary: SiteProcess, secondary: SiteProcess, withinMs = EQUAL_LIMIT_MS): Promise<void> {
  const equal = async (): Promise<boolean> => {
    const [ours, theirs] = await Promise.all([primary.status(), secondary.status()]);
    return ours !== undefined && ours.position.revision === theirs?.position.revision && ours.digest === theirs.digest;
  };
  try {
    await until(`${primary.site} and ${secondary.site} are equal`, equal, withinMs);
  } catch (error) {
    const told = [primary, secondary].map(async site => `${JSON.stringify(await site.status(), null, 1)}\n${site.tail()}`);
    throw new Error((await Promise.all(told)).join('\n\n'), { cause: error });
  }
  const [tree, copy] = await Promise.all([treeOf(primary), treeOf(secondary)]);
  expect(copy).toEqual(tree);
}

/** Nothing of these events was ever told by any of the sites, and nothing printed beside their logs. */
export function expectNever(events: readonly string[], ...sites: readonly SiteProcess[]): void {
  for (const site of sites) {
    const told = site.log.filter(({ event }) => event === 'printed' || events.includes(event));
    expect(told.map(({ event, message }) => `${site.site}: ${event}: ${message}`)).toEqual([]);
  }
}
