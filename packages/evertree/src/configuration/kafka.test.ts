import { isEvertreeError } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import type { KafkaConsumerConfiguration, KafkaProducerConfiguration } from './configuration.ts';
import { readConfiguration } from './reading.ts';

type Side = 'producer' | 'consumer';
type Properties = Readonly<Record<string, unknown>>;

const kafka = (side: Side, properties: unknown) => ({
  'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 },
  [`kafka-${side}-properties`]: properties,
});

const producer = (properties: Properties) => readConfiguration(kafka('producer', properties)) as KafkaProducerConfiguration;
const consumer = (properties: Properties) => readConfiguration(kafka('consumer', properties)) as KafkaConsumerConfiguration;

/** The lines of the error, without what is the same in all. */
function problems(side: Side, properties: unknown, more: object = {}): string[] {
  return problemsOf(() => readConfiguration({ ...kafka(side, properties), ...more }));
}

function problemsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID'))
      return error.message.split('\n').map(line => line.replace(/^configuration: (?:kafka-\w+-properties\.)?/, ''));
    throw error;
  }
  return [];
}

describe("Java's property names", () => {
  test('numbers, strings and booleans are taken alike', () => {
    expect(problems('producer', { retries: '3', 'linger.ms': 5, 'enable.idempotence': true, acks: -1 })).toEqual([]);
    expect(problems('consumer', { 'enable.auto.commit': 'true', 'max.poll.records': '500' })).toEqual([]);
  });

  test.each<[Side, unknown, string]>([
    ['producer', { retrys: 1 }, 'retrys is no property of Kafka\'s producer; did you mean "retries"?'],
    ['producer', { 'linger.ms': 'soon' }, 'linger.ms is "soon"; write a whole number from 0 to 2147483647'],
    ['producer', { 'group.id': 'test' }, 'group.id belongs to a consumer, and this file configures a producer; remove it'],
    [
      'producer',
      { 'key.serializer': 'org.apache.kafka.common.serialization.StringSerializer' },
      'key.serializer is refused: Evertree writes and reads the bytes of its frames itself; remove it',
    ],
    [
      'producer',
      { 'interceptor.classes': 'com.example.Mine' },
      'interceptor.classes is refused: it names Java code, which no Node process can load; remove it',
    ],
    [
      'producer',
      { 'ssl.truststore.type': 'JKS', 'security.protocol': 'SSL', 'ssl.truststore.location': 'none' },
      'ssl.truststore.type is "JKS": Java key stores are not read; convert the store to PEM and set its type to "PEM"',
    ],
    [
      'producer',
      { 'transactional.id': 'a' },
      'transactional.id is refused: positions make every frame count once, whatever is sent twice; remove it',
    ],
    [
      'producer',
      { 'compression.type': 'snappy' },
      'compression.type is "snappy", which the client can\'t write; write "zstd", which is smaller and as fast, "gzip" or "none"',
    ],
    ['producer', { 'enable.idempotence': 'true', retries: 0 }, 'retries is 0, and idempotence needs retries; remove one of the two'],
    ['producer', { 'enable.idempotence': 'true', acks: 1 }, 'acks is 1, and idempotence needs "all"; write "all"'],
    [
      'producer',
      { 'delivery.timeout.ms': 100, 'linger.ms': 50, 'request.timeout.ms': 60 },
      'delivery.timeout.ms is less than "linger.ms" and "request.timeout.ms" together, which Java refuses; raise it',
    ],
    [
      'consumer',
      { 'session.timeout.ms': 3000, 'heartbeat.interval.ms': 3000 },
      'heartbeat.interval.ms is not less than "session.timeout.ms", which Java refuses; a third of it is usual',
    ],
    ['consumer', { 'group.instance.id': 'a' }, 'group.instance.id is refused: a secondary reads without joining a group; remove it'],
    ['consumer', { 'bootstrap.servers': 'broker' }, 'bootstrap.servers is "broker"; write "host:port", or several separated by commas'],
    [
      'consumer',
      { constructor: 1 },
      "constructor is no property of Kafka's consumer; remove it: configs/README.md lists those that are taken",
    ],
    ['consumer', { 'group.id': {} }, 'group.id is an object; write a string, a number, true or false'],
  ])('%s %j', (side, properties, expected) => {
    expect(problems(side, properties)).toContain(expected);
  });

  test('bootstrap.servers overrides host and port, which then may be left out', () => {
    const properties = { 'bootstrap.servers': 'a:1, b:2' };
    expect(readConfiguration({ 'kafka-producer-properties': properties })).toMatchObject({
      connection: { brokers: ['a:1', 'b:2'] },
      notes: [],
    });
    expect(producer(properties).notes).toEqual(['"bootstrap.servers" prevails over "kafka-host" and "kafka-port", which have no effect']);
    expect(problemsOf(() => readConfiguration({ 'kafka-producer-properties': {} }))).toHaveLength(2);
  });

  test('an IPv6 address is refused, as the client takes none', () => {
    expect(problems('producer', { 'bootstrap.servers': '[::1]:9092' })[0]).toContain('for an IPv6 address, a name that leads to it');
    const file = { 'kafka-connection': { 'kafka-host': '::1', 'kafka-port': 9092 }, 'kafka-producer-properties': {} };
    expect(problemsOf(() => readConfiguration(file))[0]).toContain('write a name that leads to it');
  });

  test('the client is kafkajs, unless the file says platformatic', () => {
    const properties = { 'bootstrap.servers': 'a:1' };
    expect(readConfiguration({ 'kafka-producer-properties': properties })).toMatchObject({ client: undefined });
    for (const side of ['producer', 'consumer']) {
      const file = { 'kafka-client': 'platformatic', [`kafka-${side}-properties`]: properties };
      expect(readConfiguration(file)).toMatchObject({ client: 'platformatic' });
    }
    const wrong = { 'kafka-client': 'librdkafka', 'kafka-producer-properties': properties };
    expect(problemsOf(() => readConfiguration(wrong))[0]).toContain('kafka-client is "librdkafka"; write one of "kafkajs", "platformatic"');
  });

  test('a topic leaves room for the names of those beside it', () => {
    expect(problems('producer', {}, { 'kafka-messaging': { topic: 'a'.repeat(241) } })[0]).toContain('1 to 240 letters');
  });
});

describe('what the properties mean', () => {
  test('of sending', () => {
    const { connection, publish, notes } = producer({
      'client.id': 'a',
      'request.timeout.ms': 4000,
      retries: 7,
      'compression.type': 'zstd',
      'linger.ms': 3,
      'batch.size': 65536,
      'max.request.size': 524288,
      'delivery.timeout.ms': 20000,
      'max.block.ms': 1000,
      'buffer.memory': 1048576,
    });
    expect(connection).toMatchObject({ brokers: ['broker:9092'], clientId: 'a', requestTimeoutMs: 4000 });
    expect(publish).toEqual({
      idempotent: true,
      retries: 7,
      compression: 'zstd',
      lingerMs: 3,
      batchBytes: 65536,
      requestBytes: 524288,
      deliveryMs: 20000,
      blockMs: 1000,
      limits: { bufferedBytes: 1048576, writableBytes: 524288, answerMs: 4000 },
    });
    expect(notes).toEqual([expect.stringContaining('"delivery.timeout.ms" is 20000, and "request.timeout.ms" 4000')]);
  });

  test('of reading', () => {
    const { subscribe, notes } = consumer({
      'group.id': 'g',
      'auto.commit.interval.ms': 250,
      'fetch.min.bytes': 10,
      'fetch.max.wait.ms': 20,
      'fetch.max.bytes': 30,
      'max.partition.fetch.bytes': 40,
      'isolation.level': 'read_committed',
    });
    expect(subscribe).toEqual({
      groupId: 'g',
      commitMs: 250,
      fetch: { minBytes: 10, maxWaitMs: 20, maxBytes: 30, partitionBytes: 40 },
      readCommitted: true,
    });
    expect(notes).toEqual([]);
  });

  test.each<[Properties, boolean]>([
    [{}, true],
    [{ retries: 0 }, false],
    [{ retries: 1 }, true],
    [{ 'enable.idempotence': false }, false],
  ])('idempotence with %j: %s', (properties, idempotent) => {
    expect(producer(properties).publish.idempotent).toBe(idempotent);
  });

  test.each<[Properties, number | undefined]>([
    [{}, undefined],
    [{ 'heartbeat.interval.ms': 500 }, 500],
    [{ 'session.timeout.ms': 6000 }, 2000],
    [{ 'session.timeout.ms': 3000, 'heartbeat.interval.ms': 2000 }, 1000],
  ])('%j: a secondary is heard each %s ms', (properties, heartbeatMs) => {
    expect(consumer(properties).subscribe.limits?.heartbeatMs).toBe(heartbeatMs);
  });

  test.each<[Properties, number | undefined]>([
    [{}, 5000],
    [{ 'enable.auto.commit': 'false' }, undefined],
    [{ 'auto.commit.interval.ms': 0 }, 1],
  ])('%j: offsets are committed each %s ms', (properties, commitMs) => {
    expect(consumer(properties).subscribe.commitMs).toBe(commitMs);
  });

  test.each<[Side, Properties, string]>([
    ['producer', { acks: 1 }, '"acks" is 1; Evertree always sends with "all"'],
    ['producer', { retries: 0 }, '"retries" is 0, which turns idempotence off as in Java'],
    ['producer', { 'max.in.flight.requests.per.connection': 5 }, 'Evertree has one batch in flight'],
    [
      'consumer',
      { 'auto.offset.reset': 'latest' },
      '"auto.offset.reset" is latest, and has no effect: a secondary\'s own position decides',
    ],
    ['consumer', { 'max.poll.records': 100 }, '"max.poll.records" is 100, and has no effect'],
    ['consumer', { 'enable.auto.commit': false, 'auto.commit.interval.ms': 1 }, '"auto.commit.interval.ms" has no effect'],
  ])('%s %j is told', (side, properties, note) => {
    expect(readConfiguration(kafka(side, properties)).notes).toEqual([expect.stringContaining(note)]);
  });

  test('"tls" and "auth" are for HTTP, and the file is told so', () => {
    const { notes } = readConfiguration({ ...kafka('producer', {}), tls: 'off' });
    expect(notes).toEqual([expect.stringContaining('"tls" and "auth" concern HTTP in this file')]);
  });
});
