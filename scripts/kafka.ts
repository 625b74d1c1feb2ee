// Starts a real Kafka broker on this machine, the one that the tests use, for whoever wants to try a pair over Kafka.
import { mkdir } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type KafkaBroker, startKafka } from '../test/support/kafka/broker.ts';
import { KAFKA_VERSION } from '../test/support/kafka/maven.ts';
import { isFree } from '../test/support/site-process.ts';

/** As configs/kafkaProducer.json and configs/kafkaConsumer.json have it. */
const USUAL_PORT = 9092;
const MOST_PORT = 65_535;

const USAGE = `Usage: pnpm kafka [--port PORT] [--data DIR]

Starts Apache Kafka ${KAFKA_VERSION}, one node, on 127.0.0.1. Needs Java 17 or newer, and Maven for the first start, which fetches it.

  --port PORT  where clients find it (default ${USUAL_PORT}, as in configs/)
  --data DIR   where it keeps its topics (default ./data/kafka)`;

interface Settings {
  readonly port: number;
  readonly data: string;
}

/** Undefined: only the usage was asked for. @throws what is wrong with the arguments */
function readArguments(args: readonly string[]): Settings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: { port: { type: 'string' }, data: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) return undefined;
  const port = Number(values.port ?? USUAL_PORT);
  if (!Number.isInteger(port) || port < 1 || port > MOST_PORT) throw new Error(`--port ${values.port} is no port: give 1 to ${MOST_PORT}.`);
  return { port, data: resolve(values.data ?? 'data/kafka') };
}

async function run({ port, data }: Settings): Promise<void> {
  if (!(await isFree(port))) throw new Error(`Port ${port} of 127.0.0.1 is taken: end what listens there, or give --port another one.`);
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

/** Resolves with true when a signal asks it to end, with false when it ended by itself. */
function endOf(broker: KafkaBroker): Promise<boolean> {
  return new Promise(resolved => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolved(true));
    void broker.ended().then(() => resolved(false));
  });
}

try {
  const settings = readArguments(process.argv.slice(2));
  if (settings === undefined) console.log(USAGE);
  else await run(settings);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
