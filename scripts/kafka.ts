// Starts a real Kafka broker on this machine, the one that the tests use, for whoever wants to try a pair over Kafka.
import { mkdir } from 'node:fs/promises';
import { relative } from 'node:path';
import { startKafka } from '../test/support/kafka/broker.ts';
import { KAFKA_VERSION } from '../test/support/kafka/maven.ts';
import { endOf, runServerScript } from './server-script.ts';

/** As configs/kafkaProducer.json and configs/kafkaConsumer.json have it. */
const USUAL_PORT = 9092;

const USAGE = `Usage: pnpm kafka [--port PORT] [--data DIR]

Starts Apache Kafka ${KAFKA_VERSION}, one node, on 127.0.0.1. Needs Java 17 or newer, and Maven for the first start, which fetches it.

  --port PORT  where clients find it (default ${USUAL_PORT}, as in configs/)
  --data DIR   where it keeps its topics (default ./data/kafka)`;

async function run({ port, data }: { readonly port: number; readonly data: string }): Promise<void> {
  await mkdir(data, { recursive: true });
  await using broker = await startKafka({ port, data, tell: line => console.log(line) });
  console.log(describeBroker(port, data));
  const asked = await endOf(broker);
  if (!asked) throw new Error(`The broker ended by itself; its last lines:\n${broker.log}`);
  await broker.stop();
  console.log('\nKafka has ended; its data is kept.');
}

function describeBroker(port: number, data: string): string {
  const place = relative(process.cwd(), data);
  const ports = port === USUAL_PORT ? '' : `\nThe files in configs/ say ${USUAL_PORT}: write ${port} as kafka-port into copies of them.\n`;
  return `
  Kafka ${KAFKA_VERSION} takes connections on 127.0.0.1:${port}; its data is kept in ${place.startsWith('..') ? data : `./${place}`}.
${ports}
  A pair over it, in two other terminals:
    npx -y pnpm evertree primary --config configs/kafkaProducer.json --data data/kafka-a
    npx -y pnpm evertree secondary --config configs/kafkaConsumer.json --data data/kafka-b --http 127.0.0.1:8182

  Then, in a third:
    npx -y pnpm evertree put /hello '"world"'
    npx -y pnpm evertree get /hello --url http://127.0.0.1:8182

  Ctrl-C ends Kafka.`;
}

await runServerScript({ usage: USAGE, usualPort: USUAL_PORT, usualData: 'data/kafka', run });
