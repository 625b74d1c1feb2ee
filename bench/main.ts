import { cpus, tmpdir, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Bench, type Measure } from './bench.ts';
import { findObstacle as findKafkaObstacle } from '../test/support/kafka/distribution.ts';
import { findObstacle as findS3Obstacle } from '../test/support/s3/versitygw.ts';
import { REDIS_MISSING } from './contestants/redis.ts';
import { type Figure, passes } from './figure.ts';
import { ack } from './measures/ack.ts';
import { archiveAge, archiveMemory, archiveRestore, archiveS3, archiveSize, archiveWriting } from './measures/archive.ts';
import { away } from './measures/away.ts';
import { batch } from './measures/batch.ts';
import { comeback } from './measures/comeback.ts';
import { cold } from './measures/cold.ts';
import { cpu } from './measures/cpu.ts';
import { growth } from './measures/growth.ts';
import { history, historyPin, historyVerify, historyWriting } from './measures/history.ts';
import { heap } from './measures/heap.ts';
import { kafkaAway } from './measures/kafka-away.ts';
import { kafkaClients } from './measures/kafka-clients.ts';
import { kafkaCold } from './measures/kafka-cold.ts';
import { kafkaLag } from './measures/kafka-lag.ts';
import { kafkaMany } from './measures/kafka-many.ts';
import { kafkaVisible } from './measures/kafka-visible.ts';
import { lag } from './measures/lag.ts';
import { promote } from './measures/promote.ts';
import { recovery } from './measures/recovery.ts';
import { restart } from './measures/restart.ts';
import { shares } from './measures/shares.ts';
import { kafkaSwitchover, switchover } from './measures/switchover.ts';
import { visible, wide } from './measures/visible.ts';
import { Progress } from './progress.ts';
import { table } from './table.ts';

/** The last ones kill the broker. */
const KAFKA_MEASURES: readonly Measure[] = [kafkaVisible, kafkaLag, kafkaMany, kafkaCold, kafkaSwitchover, kafkaClients, kafkaAway];
const ARCHIVE_MEASURES: readonly Measure[] = [archiveWriting, archiveSize, archiveAge, archiveRestore, archiveS3, archiveMemory];
const MEASURES: readonly Measure[] = [
  visible,
  wide,
  cpu,
  batch,
  lag,
  cold,
  restart,
  recovery,
  heap,
  away,
  shares,
  ack,
  switchover,
  promote,
  comeback,
  history,
  historyPin,
  historyWriting,
  historyVerify,
  ...ARCHIVE_MEASURES,
  ...KAFKA_MEASURES,
  growth,
];
const BELOW_A_FLOOR = 1;
const WRONG_USAGE = 2;

const HELP = `pnpm bench [options]: what Evertree claims, measured. Ends with 1 if a figure is below its floor.

  --quick          fewer and shorter rounds, without growth; without Kafka, unless --only names it
  --only NAME,…    these measures only; \`kafka\` and \`archive\` stand for all of theirs
  --lab DIR        the lab's pipeline joins (a folder with proto.mjs, after \`npm i\` in it)
  --platformatic DIR
                   @platformatic/kafka joins the measure kafka-clients (a folder in which \`npm i @platformatic/kafka@2\` was done)
  --data DIR       where all contestants keep their files meanwhile (default: ${tmpdir()})
  --profile DIR    CPU profiles of both sites are written there, beside the measures visible, wide, lag, cold, kafka-visible and kafka-lag
  --json           the figures as JSON
  --help

Measures:
${MEASURES.map(({ name, about, fullOnly }) => `  ${name.padEnd(16)} ${about}${fullOnly === true ? ' (full run only)' : ''}`).join('\n')}
`;

const options = readOptions();
if (options !== undefined) process.exitCode = await run(options);

type Options = NonNullable<ReturnType<typeof readOptions>>;

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        lab: { type: 'string' },
        platformatic: { type: 'string' },
        data: { type: 'string', default: tmpdir() },
        profile: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
      // \`pnpm bench -- --quick\` hands the dashes on.
      args: process.argv.slice(2).filter(argument => argument !== '--'),
    });
    if (values.help) {
      process.stdout.write(HELP);
      return undefined;
    }
    return { ...values, measures: chosen(values.only, values.quick) };
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n\n${HELP}`);
    process.exitCode = WRONG_USAGE;
    return undefined;
  }
}

function chosen(only: string | undefined, quick: boolean): readonly Measure[] {
  if (only === undefined) return MEASURES.filter(measure => !quick || (measure.fullOnly !== true && measure.needs !== 'kafka'));
  return only.split(',').flatMap(name => {
    if (name === 'kafka') return KAFKA_MEASURES;
    if (name === 'archive') return ARCHIVE_MEASURES;
    const measure = MEASURES.find(each => each.name === name);
    if (measure === undefined) throw new Error(`there is no measure ${name}`);
    return [measure];
  });
}

/** Why the servers that some measures need can't be started here, and what helps. */
async function findObstacles(wanted: readonly Measure[]): Promise<ReadonlyMap<string, string>> {
  const obstacles = new Map<string, string>();
  for (const [name, find] of Object.entries({ kafka: findKafkaObstacle, s3: findS3Obstacle })) {
    const obstacle = wanted.some(({ needs }) => needs === name) ? await find() : undefined;
    if (obstacle !== undefined) obstacles.set(name, obstacle);
  }
  return obstacles;
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}

async function run({ measures: wanted, quick, lab, platformatic, data, profile, json }: Options): Promise<number> {
  const progress = new Progress(process.stderr);
  const started = performance.now();
  await using bench = new Bench(
    { quick, lab: absolute(lab), platformatic: absolute(platformatic), data: resolve(data), profiles: absolute(profile) },
    progress,
  );
  if (!bench.hasRedis) process.stderr.write(`${REDIS_MISSING}\n`);
  const obstacles = await findObstacles(wanted);
  const measures = wanted.filter(({ needs }) => needs === undefined || !obstacles.has(needs));
  const notMeasured = wanted.filter(measure => !measures.includes(measure)).map(({ name }) => name);
  const omission = notMeasured.length === 0 ? '' : `NOT MEASURED: ${notMeasured.join(', ')}. ${[...obstacles.values()].join(' ')}\n`;
  process.stderr.write(omission);
  const figures: Figure[] = [];
  const tookSeconds: Record<string, number> = {};
  for (const [index, measure] of measures.entries()) {
    progress.measure(measure.name, index, measures.length);
    const begun = performance.now();
    figures.push(...(await measure.run(bench)));
    tookSeconds[measure.name] = Math.round((performance.now() - begun) / 100) / 10;
  }
  progress.clear();
  const seconds = Math.round((performance.now() - started) / 1e3);
  const machine = {
    node: process.version,
    redis: bench.redisVersion ?? null,
    cores: cpus().length,
    memoryBytes: totalmem(),
    quick,
    seconds,
    tookSeconds,
    notMeasured,
  };
  process.stdout.write(
    json ? `${JSON.stringify({ machine, figures: figures.map(figure => ({ ...figure, passes: passes(figure) })) })}\n` : report(),
  );
  return figures.every(passes) ? 0 : BELOW_A_FLOOR;

  function report(): string {
    const { node, redis, cores } = machine;
    const head = `Node ${node}, ${redis === null ? 'no Redis' : `Redis ${redis}`}, ${cores} cores; medians of ${bench.rounds} rounds, ${seconds} s`;
    return `${table(figures)}\n\n${head}\n${omission}`;
  }
}
