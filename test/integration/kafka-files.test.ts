import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Store, openStore, startConsumer, startProducer } from 'evertree';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';
import { REPOSITORY } from '../support/program.ts';
import { freePort } from '../support/site-process.ts';

const SOON = { timeout: 25_000, interval: 20 };

const onPort = (port: number) => ({ 'netty-consumer': { 'listening-port': port } });
const equal = (a: Store, b: Store) => vi.waitFor(() => expect([b.digest, b.position]).toEqual([a.digest, a.position]), SOON);

describeKafka("the ancestor's files for Kafka, as they are", () => {
  let address: string;
  let folder: string;

  beforeAll(async () => {
    address = await sharedBroker();
    folder = await mkdtemp(join(tmpdir(), 'evertree-kafka-files-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** The sample, with this run's broker and a topic of its own. */
  function sample(name: string, topic: string): Record<string, unknown> {
    const content = JSON.parse(readFileSync(join(REPOSITORY, 'configs', name), 'utf8')) as Record<string, object>;
    const [host, port] = address.split(':');
    return {
      ...content,
      'kafka-connection': { 'kafka-host': host, 'kafka-port': Number(port) },
      'kafka-messaging': { ...content['kafka-messaging'], topic },
    };
  }

  const openAt = (site: string) => openStore({ data: join(folder, site), site });

  test('two secondaries with the same sample file, its group too, both get everything', async () => {
    const topic = `files-${crypto.randomUUID()}`;
    await using a = await openStore({ data: 'memory', site: 'a' });
    await using b = await openStore({ data: 'memory', site: 'b' });
    await using c = await openStore({ data: 'memory', site: 'c' });
    await using producer = await startProducer(a, sample('kafkaProducer.json', topic));
    await using atB = await startConsumer(b, sample('kafkaConsumer.json', topic));
    await using atC = await startConsumer(c, sample('kafkaConsumer.json', topic));
    for (let count = 0; count < 100; count++) a.put(`/counts/${count}`, count);
    await Promise.all([equal(a, b), equal(a, c)]);
    await vi.waitFor(() => expect(producer.peers.map(({ site }) => site)).toEqual(expect.arrayContaining(['b', 'c'])), SOON);
    expect([atB.state.resyncs.count, atC.state.resyncs.count]).toEqual([0, 0]);
  });

  test('a primary goes both ways from one journal, and a secondary changes from one to the other and back', async () => {
    const topic = `files-${crypto.randomUUID()}`;
    const [near, far] = [await freePort(), await freePort()];
    const both = [near, far].map(port => ({ 'consumer-address': '127.0.0.1', 'consumer-port': port, 'connection-retry-interval-ms': 20 }));
    await using a = await openAt('a');
    await using producer = await startProducer(a, [sample('kafkaProducer.json', topic), { 'netty-connection': both }]);
    expect(producer.peers).toHaveLength(3);
    await using remote = await openStore({ data: 'memory', site: 'remote' });
    await using atRemote = await startConsumer(remote, onPort(far));
    for (const [round, way] of [sample('kafkaConsumer.json', topic), onPort(near), sample('kafkaConsumer.json', topic)].entries()) {
      a.put('/round', round);
      await using b = await openAt('b');
      await using consumer = await startConsumer(b, way);
      a.put('/more', round);
      await Promise.all([equal(a, b), equal(a, remote)]);
      expect(consumer.state.resyncs.count).toBe(0);
    }
    expect(atRemote.state.resyncs.count).toBe(0);
  });
});
