import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BrokerSilent } from '../../packages/transport/src/kafka/broker.ts';
import type { Broker, BrokerOptions } from '../../packages/transport/src/kafka/broker.ts';
import type { SentRecord } from '../../packages/transport/src/kafka/records.ts';
import { systemClock } from '../support/host.ts';
import type { KafkaBroker } from '../support/kafka/broker.ts';

const ANSWER_MS = 2_000;
const SOON = { timeout: 20_000, interval: 50 };
const SMALL = { partitions: 2, settings: { 'cleanup.policy': 'delete', 'retention.ms': '-1' } };

const record = (value: string, time?: number): SentRecord => ({
  key: Buffer.from('k'),
  value: Buffer.from(value),
  headers: { evertree: '2', part: '0/1' },
  ...(time === undefined ? {} : { timestamp: String(time) }),
});

/**
 * The laws of the narrow interface behind which a Kafka client stands (packages/transport/src/kafka/broker.ts), for any
 * client.
 * @param server a real broker with a proxy in front
 */
export function testKafkaClient(name: string, make: (options: BrokerOptions) => Broker, server: () => KafkaBroker): void {
  const open = (brokers: readonly string[]) =>
    make({ connection: { brokers }, report: () => undefined, clock: systemClock, answerMs: ANSWER_MS });

  describe(`a Kafka client: ${name}`, () => {
    let broker: Broker;
    let topic: string;

    beforeEach(async () => {
      server().proxy.setAccepting('forward');
      broker = open([server().address]);
      topic = `client-${randomUUID().slice(0, 8)}`;
      await broker.createTopics([{ topic, ...SMALL }]);
    });
    afterEach(async () => {
      server().proxy.setAccepting('forward');
      await broker.close();
    });

    /** A writer, once the topic's leader accepts records: a new topic has no leader at first. */
    async function filled(...values: readonly string[]) {
      const writer = await broker.openWriter({ acks: 'all', idempotent: true, answerMs: ANSWER_MS });
      const records = values.map((value, index) => record(value, 1000 + index));
      const first = await vi.waitFor(() => writer.send(topic, 0, records), SOON);
      expect(first).toBe(0n);
      return writer;
    }

    /** Everything from an offset on. A fetch may bring less than there is. */
    async function valuesOf(from: bigint): Promise<string[]> {
      await using reader = await broker.openReader({ topic, partition: 0 });
      const values: string[] = [];
      const { high } = await reader.offsets();
      for (let offset = from; offset < high;) {
        const { records, next } = await reader.fetch(offset);
        values.push(...records.map(({ value }) => String(value)));
        offset = next;
      }
      return values;
    }

    test('names the brokers, and says that a topic is missing without making it', async () => {
      expect((await broker.nodes()).map(({ address }) => address)).toEqual([server().address]);
      expect(await broker.metadata(`${topic}-not`)).toBeUndefined();
      expect(await broker.metadata(`${topic}-not`)).toBeUndefined();
    });

    test('makes topics with the given settings, and reads their partitions and settings', async () => {
      expect(await broker.metadata(topic)).toEqual([0, 1].map(partition => ({ partition, replicas: 1, inSync: 1 })));
      const settings = await broker.describeConfigs('topic', topic);
      expect(settings.get('retention.ms')).toBe('-1');
      expect((await broker.describeConfigs('broker', String((await broker.nodes())[0]!.id))).size).toBeGreaterThan(10);
    });

    test('writes batches in order, and says where each begins', async () => {
      const writer = await filled('a', 'b');
      expect(await writer.send(topic, 0, [record('c'), record('d')])).toBe(2n);
      expect(await writer.send(topic, 1, [record('elsewhere')])).toBe(0n);
      expect(await valuesOf(0n)).toEqual(['a', 'b', 'c', 'd']);
      expect(await broker.listOffsets(topic)).toEqual(
        new Map([
          [0, { low: 0n, high: 4n }],
          [1, { low: 0n, high: 1n }],
        ]),
      );
    });

    test('reads key, value, headers, time and offset as they were written, from any offset', async () => {
      await filled('a', 'b', 'c');
      await using reader = await broker.openReader({ topic, partition: 0 });
      const { records, next, low, high } = await reader.fetch(1n);
      // A fetch gives whole batches, or begins where it was told to.
      const second = records.find(({ offset }) => offset === '1');
      expect(second).toMatchObject({ offset: '1', timestamp: '1001' });
      expect([second?.key, second?.value].map(String)).toEqual(['k', 'b']);
      expect(String(second?.headers?.['part'])).toBe('0/1');
      expect({ next, low, high }).toEqual({ next: 3n, low: 0n, high: 3n });
    });

    test('finds the first record that is not older than a time', async () => {
      await filled('a', 'b', 'c');
      await using reader = await broker.openReader({ topic, partition: 0 });
      expect(await reader.offsets()).toEqual({ low: 0n, high: 3n });
      expect(await reader.offsetAt(1001)).toBe(1n);
      expect(await reader.offsetAt(5000)).toBeUndefined();
    });

    test('waits at the end for what comes, and no longer than it is told', async () => {
      const writer = await filled('a');
      await using reader = await broker.openReader({ topic, partition: 0 });
      expect(await reader.fetch(1n, 50)).toMatchObject({ records: [], next: 1n });
      const waiting = reader.fetch(1n, ANSWER_MS / 2);
      await writer.send(topic, 0, [record('b')]);
      expect((await waiting).records.map(({ value }) => String(value))).toEqual(['b']);
    });

    test('fails, and does not reset, when an offset is outside of the partition', async () => {
      await filled('a', 'b', 'c');
      await broker.deleteRecords(topic, 0, 2n);
      await using reader = await broker.openReader({ topic, partition: 0 });
      expect(await reader.offsets()).toEqual({ low: 2n, high: 3n });
      for (const offset of [0n, 9n]) {
        await expect(reader.fetch(offset)).rejects.toMatchObject({ kafka: 'OFFSET_OUT_OF_RANGE', lasting: false });
      }
      expect((await reader.fetch(2n)).records.length).toBe(1);
    });

    test('refuses a partition that is not there', async () => {
      await expect(broker.openReader({ topic, partition: 7 })).rejects.toMatchObject({ code: 'NOT_FOUND', lasting: true });
    });

    test('commits an offset for a group without members', async () => {
      await filled('a');
      await vi.waitFor(() => broker.commitOffset(topic, topic, 0, 1n), SOON);
      await broker.probe('commit', topic);
    });

    test('finds the rights that this user lacks, and makes nothing by asking', async () => {
      for (const right of ['read', 'write'] as const) await broker.probe(right, topic);
      await broker.probe('create', `${topic}-not`);
      expect(await broker.metadata(`${topic}-not`)).toBeUndefined();
    });

    test('names the broker and the remedy if nothing listens', async () => {
      const away = open(['127.0.0.1:1']);
      const failure = { code: 'UNREACHABLE', lasting: false, message: expect.stringMatching(/127\.0\.0\.1:1: nothing listens there/) };
      await expect(away.nodes()).rejects.toMatchObject(failure);
      await expect(away.openWriter({ acks: 'all', answerMs: ANSWER_MS })).rejects.toMatchObject(failure);
      await away.close();
    });

    test('fails at a broker that accepts the connection and says nothing', async () => {
      server().proxy.setAccepting('silent');
      const silent = open([server().address]);
      await expect(silent.nodes()).rejects.toBeInstanceOf(BrokerSilent);
      await expect(silent.openReader({ topic, partition: 0 })).rejects.toBeInstanceOf(BrokerSilent);
      await silent.close();
    });

    test('connects again by itself after a cut that came between two calls', async () => {
      const writer = await filled('a');
      await using reader = await broker.openReader({ topic, partition: 0 });
      const { accepted } = server().proxy;
      server().proxy.cut();
      // A call that finds the dead connection fails; the next one finds a new connection.
      expect((await vi.waitFor(() => reader.fetch(0n), SOON)).records.length).toBe(1);
      expect(await writer.send(topic, 0, [record('b')])).toBe(1n);
      expect((await reader.fetch(1n)).records.map(({ value }) => String(value))).toEqual(['b']);
      expect(server().proxy.accepted).toBeGreaterThan(accepted);
    });

    test('fails every waiting call when it is abandoned, and connects no more', async () => {
      await filled('a');
      const reader = await broker.openReader({ topic, partition: 0 });
      const waiting = expect(reader.fetch(1n)).rejects.toMatchObject({ code: 'UNREACHABLE', lasting: false });
      broker.abandon();
      await waiting;
      await expect(broker.openReader({ topic, partition: 0 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
      broker.abandon();
      await broker.close();
      await broker.close();
    });
  });
}
