import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { ConnectionOptions } from 'node:tls';
import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { mendRequestQueue } from '../../packages/transport/src/kafka/kafkajs/request-queue.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { type KafkaBroker, startKafka } from '../support/kafka/broker.ts';
import { QUICK_RESTART, type SecuredListener } from '../support/kafka/server-properties.ts';
import { describeKafka, sharedBroker } from '../support/kafka/suite.ts';

const ANSWER_MS = 1000;
const SOON = { timeout: 20_000, interval: 20 };
const BROKER_MODULE = new URL('../support/kafka/broker.ts', import.meta.url).href;

mendRequestQueue();

/** A client that gives up at the first failure. */
function connect(address: string, more: Partial<KafkaConfig> = {}): Kafka {
  return new Kafka({
    brokers: [address],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    connectionTimeout: ANSWER_MS,
    requestTimeout: ANSWER_MS,
    enforceRequestTimeout: true,
    ...more,
  });
}

/** A topic that no other test uses. */
async function makeTopic(address: string): Promise<string> {
  const topic = `broker-test-${crypto.randomUUID()}`;
  const admin = connect(address).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic }], waitForLeaders: false });
  await admin.disconnect();
  // A topic is there before it has a leader.
  await vi.waitFor(() => offsets(address, topic), SOON);
  return topic;
}

async function write(address: string, topic: string, ...values: readonly string[]): Promise<void> {
  const producer = connect(address).producer({ allowAutoTopicCreation: false });
  try {
    await producer.connect();
    await producer.send({ topic, messages: values.map(value => ({ value })) });
  } finally {
    await producer.disconnect();
  }
}

/** The first `count` values of a topic. */
async function read(address: string, topic: string, count: number): Promise<readonly string[]> {
  const consumer = connect(address, { retry: { retries: 8, initialRetryTime: 50 } }).consumer({ groupId: topic });
  const values: string[] = [];
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) });
    await vi.waitFor(() => expect(values.length).toBeGreaterThanOrEqual(count), SOON);
  } finally {
    await consumer.disconnect();
  }
  return values;
}

async function offsets(address: string, topic: string): Promise<{ readonly low: number; readonly high: number }> {
  const admin = connect(address).admin();
  await admin.connect();
  const [first] = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return { low: Number(first?.low), high: Number(first?.high) };
}

function isListening(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

describeKafka('the Kafka broker that the tests share', () => {
  it('is shared by all test files', async () => {
    const address = await sharedBroker();
    expect(await sharedBroker()).toBe(address);
    const topic = await makeTopic(address);
    await write(address, topic, 'a', 'b');
    expect(await read(address, topic, 2)).toEqual(['a', 'b']);
  });
});

describeKafka("a Kafka broker of a test's own", () => {
  let broker: KafkaBroker;
  let topic: string;
  beforeAll(async () => {
    broker = await startKafka({ serverProperties: QUICK_RESTART });
    topic = await makeTopic(broker.address);
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  it('keeps what it acknowledged through SIGKILL and restart, on the same port', async () => {
    await write(broker.address, topic, 'before');
    await broker.kill();
    await expect(write(broker.address, topic, 'lost')).rejects.toThrow(/ECONNREFUSED/);
    await broker.restart();
    await write(broker.address, topic, 'after');
    expect(await read(broker.address, topic, 2)).toEqual(['before', 'after']);
  });

  it('ends when its disk is full, and goes on when there is room again', async () => {
    // A stall of this machine takes the leader away for a moment.
    const { high } = await vi.waitFor(() => offsets(broker.address, topic), SOON);
    await broker.fillDisk();
    expect(broker.log).toContain('File too large');
    await broker.restart();
    await vi.waitFor(() => offsets(broker.address, topic), SOON);
    await write(broker.address, topic, 'after');
    expect(await offsets(broker.address, topic)).toMatchObject({ high: high + 1 });
  });

  it('stands still while it is frozen', async () => {
    broker.freeze();
    await expect(write(broker.address, topic, 'unanswered')).rejects.toThrow(/timeout|timed out/i);
    broker.thaw();
    await vi.waitFor(() => write(broker.address, topic, 'answered'), SOON);
  });

  it('gives clients the address of its proxy, so that no connection bypasses it, and takes properties', async () => {
    await using proxied = await startKafka({ proxied: true, serverProperties: { 'message.max.bytes': 100_000 } });
    const { address, proxy } = proxied;
    const other = await makeTopic(address);
    const before = proxy.forwardedBytes;
    await write(address, other, 'x'.repeat(90_000));
    expect(proxy.forwardedBytes - before).toBeGreaterThan(90_000);
    await expect(write(address, other, 'x'.repeat(110_000))).rejects.toThrow(/larger than/);
    proxy.setAccepting('refuse');
    await expect(write(address, other, 'refused')).rejects.toThrow(/connection/i);
  });

  it('dies with the process that started it, however that ends', async () => {
    const script = `const { startKafka } = await import('${BROKER_MODULE}'); console.log((await startKafka()).port);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    expect(await isListening(Number(port))).toBe(true);
    child.kill('SIGKILL');
    await vi.waitFor(async () => expect(await isListening(Number(port))).toBe(false), SOON);
  });
});

describeKafka('the secured listeners of the Kafka broker of the tests', () => {
  const users = { alice: 'wonder land="1"', bob: 'builder' };
  let broker: KafkaBroker;
  let client: Certificate;
  beforeAll(async () => {
    broker = await startKafka({ users });
    client = await makeCertificate(broker.authority, { names: ['client'] });
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  const tls = (): ConnectionOptions => ({ ca: [broker.authority.certificate] });
  const mutualTls = (): ConnectionOptions => ({ ca: [broker.authority.certificate], cert: client.certificate, key: client.key });
  const plain = (password = users.alice): SASLOptions => ({ mechanism: 'plain', username: 'alice', password });
  const scram = (password = users.alice): SASLOptions => ({ mechanism: 'scram-sha-512', username: 'alice', password });

  async function enter(listener: SecuredListener, config: Partial<KafkaConfig>): Promise<void> {
    const admin = connect(broker.addressOf(listener), config).admin();
    try {
      await admin.connect();
      await admin.listTopics();
    } finally {
      await admin.disconnect();
    }
  }

  const welcome: readonly [SecuredListener, string, () => Partial<KafkaConfig>][] = [
    ['SSL', 'TLS', () => ({ ssl: tls() })],
    ['MUTUAL_TLS', 'a certificate of its own', () => ({ ssl: mutualTls() })],
    ['SASL_PLAINTEXT', 'PLAIN', () => ({ sasl: plain() })],
    ['SASL_PLAINTEXT', 'SCRAM-SHA-512', () => ({ sasl: scram() })],
    ['SASL_SSL', 'PLAIN in TLS', () => ({ ssl: tls(), sasl: plain() })],
    ['SASL_SSL', 'SCRAM-SHA-512 in TLS', () => ({ ssl: tls(), sasl: scram() })],
  ];
  it.each(welcome)('%s lets in a client with %s', async (listener, _, config) => {
    await expect(enter(listener, config())).resolves.toBeUndefined();
  });

  const refused: readonly [SecuredListener, string, () => Partial<KafkaConfig>, RegExp][] = [
    ['SSL', 'without TLS', () => ({}), /closed connection|timeout|disconnected/i],
    ['SSL', 'that does not know its authority', () => ({ ssl: true }), /unable to (get|verify)/i],
    ['MUTUAL_TLS', 'without a certificate', () => ({ ssl: tls() }), /certificate|closed connection|ECONNRESET|EPIPE/i],
    ['SASL_PLAINTEXT', 'without a name', () => ({}), /closed connection|ECONNRESET|disconnected|illegal/i],
    ['SASL_PLAINTEXT', 'with a wrong password for PLAIN', () => ({ sasl: plain('guessed') }), /PLAIN.*fail/i],
    ['SASL_PLAINTEXT', 'with a wrong password for SCRAM', () => ({ sasl: scram('guessed') }), /SCRAM.*fail/i],
    ['SASL_SSL', 'with a name but without TLS', () => ({ sasl: plain() }), /closed connection|timeout|disconnected/i],
  ];
  it.each(refused)('%s refuses a client %s', async (listener, _, config, message) => {
    await expect(enter(listener, config())).rejects.toThrow(message);
  });
});
