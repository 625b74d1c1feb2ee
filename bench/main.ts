import { constants, cpus, tmpdir, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Bench, type Measure } from './bench.ts';
import { findObstacle as findKafkaObstacle } from '../test/support/kafka/distribution.ts';
import { findObstacle as findS3Obstacle } from '../test/support/s3/versitygw.ts';
import { REDIS_MISSING } from './contestants/redis.ts';
import { passes } from './figure.ts';
import { chosenMeasures, MEASURES } from './measures/all.ts';
import { Progress } from './progress.ts';
import { type Results, runMeasures } from './run.ts';
import { type Omission, summary } from './summary.ts';
import { table } from './table.ts';

const FAILED = 1;
const WRONG_USAGE = 2;

const HELP = `pnpm bench [options]: what Evertree claims, measured. Ends with 1 if a figure is below its floor, or
a measure failed.

  --quick          fewer and shorter rounds of what a minute has room for, with the same floors
  --only NAME,…    these measures only; \`kafka\` and \`archive\` stand for all of theirs
  --lab DIR        the lab's pipeline joins (a folder with proto.mjs, after \`npm i\` in it)
  --data DIR       where all contestants keep their files meanwhile (default: ${tmpdir()})
  --profile DIR    CPU profiles of both sites are written there, beside the measures visible, wide, batch, lag, cold, kafka-visible and kafka-lag
  --steps          each step of each measure, with the second of the run at which it begins, and each round's result
  --json           the figures as JSON
  --help

Measures:
${MEASURES.map(({ name, about, fullOnly }) => `  ${name.padEnd(16)} ${about}${fullOnly === true ? ' (full run only)' : ''}`).join('\n')}
`;

const options = readOptions();
// After one of the whole runs Node span for ten minutes as it closed what it had left (uv_run below CleanupHandles).
if (options !== undefined) process.exit(await run(options));

type Options = NonNullable<ReturnType<typeof readOptions>>;

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        lab: { type: 'string' },
        data: { type: 'string', default: tmpdir() },
        profile: { type: 'string' },
        steps: { type: 'boolean', default: false },
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
    return { ...values, measures: chosenMeasures(values.only, values.quick) };
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n\n${HELP}`);
    process.exitCode = WRONG_USAGE;
    return undefined;
  }
}

/** The measures whose servers can't be started here, and what helps. */
async function findOmissions(wanted: readonly Measure[]): Promise<Omission[]> {
  const omissions: Omission[] = [];
  for (const [name, find] of Object.entries({ kafka: findKafkaObstacle, s3: findS3Obstacle })) {
    const measures = wanted.filter(({ needs }) => needs === name).map(measure => measure.name);
    const reason = measures.length === 0 ? undefined : await find();
    if (reason !== undefined) omissions.push({ measures, reason });
  }
  return omissions;
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}

async function run({ measures: wanted, quick, lab, data, profile, steps, json }: Options): Promise<number> {
  const progress = new Progress(process.stderr, steps);
  const started = performance.now();
  await using bench = new Bench({ quick, lab: absolute(lab), data: resolve(data), profiles: absolute(profile) }, progress);
  endWithSignals(bench);
  if (!bench.hasRedis) process.stderr.write(`${REDIS_MISSING}\n`);
  const omissions = await findOmissions(wanted);
  for (const { measures, reason } of omissions) process.stderr.write(`NOT MEASURED ${measures.join(', ')}: ${reason}\n`);
  const notMeasured = omissions.flatMap(omission => omission.measures);
  const measures = wanted.filter(({ name }) => !notMeasured.includes(name));
  const results = await runMeasures(bench, measures);
  progress.clear();
  const { figures, failures, tookSeconds } = results;
  const machine = {
    node: process.version,
    redis: bench.redisVersion ?? null,
    cores: cpus().length,
    memoryBytes: totalmem(),
    quick,
    rounds: bench.rounds,
    seconds: Math.round((performance.now() - started) / 1e3),
    tookSeconds,
    notMeasured,
  };
  const rows = figures.map(figure => ({ ...figure, passes: passes(figure) }));
  const command = ['pnpm bench', ...(quick ? ['--quick'] : []), ...(lab === undefined ? [] : [`--lab ${lab}`])].join(' ');
  const shortfalls = summary({ figures, failures, omissions, command });
  process.stdout.write(json ? `${JSON.stringify({ machine, figures: rows, failures })}\n` : `${report(machine, results)}${shortfalls}`);
  return failures.length === 0 && figures.every(passes) ? 0 : FAILED;
}

/** Who ends the bench ends its contestants, too, and leaves none of their files. */
function endWithSignals(bench: Bench): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void bench[Symbol.asyncDispose]().finally(() => process.exit(128 + constants.signals[signal])));
  }
}

interface Machine {
  readonly node: string;
  readonly redis: string | null;
  readonly cores: number;
  readonly rounds: number;
  readonly seconds: number;
}

function report({ node, redis, cores, rounds, seconds }: Machine, { figures, tookSeconds }: Results): string {
  const head = `Node ${node}, ${redis === null ? 'no Redis' : `Redis ${redis}`}, ${cores} cores; medians of ${rounds} rounds, ${seconds} s`;
  const times = `Seconds each: ${Object.entries(tookSeconds)
    .map(([name, took]) => `${name} ${took}`)
    .join(', ')}`;
  const { length } = figures.filter(({ floor }) => floor !== undefined);
  const passed = figures.filter(figure => figure.floor !== undefined && passes(figure)).length;
  return `${table(figures)}\n\n${head}\n${times}\n${passed} of ${length} floors reached\n`;
}
