// Reads a stream's topic with nothing but kafkajs. The primary has to write JSON: "journal": { "encoding": "json" } in
// its configuration.
//   npx -y pnpm exec node --disable-warning=TimeoutNegativeWarning examples/read-topic.ts [BROKER] [TOPIC]
// PROTOCOL.md, «Over Kafka», says what a record holds; FORMAT.md what a frame is. (The warning is about kafkajs, and
// harmless.)
import { once } from 'node:events';
import { Kafka, logLevel } from 'kafkajs';
import type { KafkaMessage } from 'kafkajs';

const HEADER_BYTES = 128;
const CHECKSUM_BYTES = 4;
const JSON_CODEC = 2;

const [broker = '127.0.0.1:9092', topic = 'testTopic1'] = process.argv.slice(2);

const kafka = new Kafka({ clientId: 'read-topic', brokers: [broker], logLevel: logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: `read-topic-${process.pid}` });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });

let parts: Buffer[] = [];
let printed = 0;
const failed = Promise.withResolvers<void>();
// kafkajs retries for ever if this handler throws.
await consumer.run({ eachMessage: async ({ message }) => attempt(() => take(message)) });
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), failed.promise]);
await consumer.disconnect();

function attempt(read: () => void): void {
  try {
    read();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
    failed.resolve();
  }
}

/** A large frame comes in parts, each with a header `part: <index>/<count>/<bytes>`. */
function take({ value, headers }: KafkaMessage): void {
  if (value === null) return;
  const [index = 0, count = 1] = String(headers?.['part'] ?? '0/1')
    .split('/')
    .map(Number);
  if (index === 0) parts = [];
  parts.push(value);
  if (parts.length === count && index === count - 1) print(Buffer.concat(parts));
}

/** Header, JSON, checksum; the changes' positions follow the one that the frame is based on. */
function print(frame: Buffer): void {
  if (frame.toString('latin1', 0, 4) !== 'EVTF') return;
  if (frame[5] !== JSON_CODEC) throw new Error('the frames are binary: set "journal": { "encoding": "json" } at the primary');
  const epoch = frame.readUInt32LE(24);
  const base = Number(frame.readBigUInt64LE(48));
  const body = JSON.parse(frame.toString('utf8', HEADER_BYTES, frame.length - CHECKSUM_BYTES)) as {
    changes: { time: number; operations: [type: 'put' | 'delete', pointer: string, value?: unknown][] }[];
  };
  for (const [index, { time, operations }] of body.changes.entries()) {
    // A frame that was sent twice is the same frame.
    if (base + index + 1 <= printed) continue;
    printed = base + index + 1;
    for (const operation of operations) console.log(`${epoch}-${printed} ${new Date(time).toISOString()} ${JSON.stringify(operation)}`);
  }
}
