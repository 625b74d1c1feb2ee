import type { KafkaBroker } from '../../test/support/kafka/broker.ts';
import type { Bench, Measure } from '../bench.ts';
import { ClientPair } from '../contestants/client-pair.ts';
import { type Figure, short } from '../figure.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

const KIBIBYTE = 1024;
const LARGE = { title: 'frames of 128 KiB, 4 a send', bytes: 128 * KIBIBYTE, framesASend: 4, count: 2_000 };
const SMALL = { title: 'frames of 300 B, 500 a send', bytes: 300, framesASend: 500, count: 50_000 };
const SINGLE = { title: 'frames of 300 B, 1 a send', bytes: 300, framesASend: 1, count: 1_000 };
const LAG_FRAMES = 1_000;
/** How long the broker is away. The last rounds are long enough for the back-off to grow. */
const AWAY_MS = [500, 3_000, 8_000];

export const kafkaClients: Measure = {
  name: 'kafka-clients',
  seconds: 100,
  shares: 'broker',
  needs: 'kafka',
  about: '@platformatic/kafka beside kafkajs, both behind the same seam',
  fullOnly: true,
  async run(bench) {
    const broker = await bench.broker();
    const pairs: Pairs = {
      theirs: await ClientPair.start('platformatic', broker),
      ours: await ClientPair.start('kafkajs', broker),
    };
    const figures: Figure[] = [];
    for (const load of [LARGE, SMALL, SINGLE]) figures.push(...(await throughput(bench, pairs, load)));
    figures.push(figure('one frame, send to receive, p50', await race(bench, pairs, medianLag), ' ms'));
    figures.push(figure('from the return of a killed broker until a frame arrives', await recoveries(pairs, broker), ' ms'));
    for (const pair of Object.values(pairs)) await pair.close();
    return figures;
  },
};

type Name = 'theirs' | 'ours';
type Pairs = Readonly<Record<Name, ClientPair>>;
type Values = Record<Name, number[]>;

function race(bench: Bench, pairs: Pairs, run: (pair: ClientPair, name: Name) => Promise<number>): Promise<Values> {
  const contest = { theirs: () => run(pairs.theirs, 'theirs'), ours: () => run(pairs.ours, 'ours') };
  return interleave(contest, bench.kafkaRounds, bench.progress);
}

async function throughput(bench: Bench, pairs: Pairs, { title, bytes, framesASend, count }: typeof LARGE): Promise<Figure[]> {
  const cpu: Values = { theirs: [], ours: [] };
  const rates = await race(bench, pairs, async (pair, name) => {
    const run = await pair.throughput(bytes, framesASend, count);
    cpu[name].push(run.cpuUs);
    return run.perSecond;
  });
  return [figure(`${title}, received a second`, rates, '/s'), figure(`${title}, CPU a frame, both ends`, cpu, ' µs')];
}

async function medianLag(pair: ClientPair): Promise<number> {
  return median(await pair.lag(LAG_FRAMES));
}

/** Milliseconds. The clients take turns, as there is one broker. */
async function recoveries(pairs: Pairs, broker: KafkaBroker): Promise<Values> {
  const found: Values = { theirs: [], ours: [] };
  for (const awayMs of AWAY_MS) {
    for (const name of ['theirs', 'ours'] as const) found[name].push(await pairs[name].recovery(broker, awayMs));
  }
  return found;
}

function figure(title: string, { theirs, ours }: Values, unit: string): Figure {
  const tell = (values: readonly number[]) => `${short(median(values))}${unit}`;
  return {
    measure: 'kafka-clients',
    title: `@platformatic/kafka against kafkajs: ${title}`,
    value: medianRatio(theirs, ours),
    unit: '×',
    detail: `theirs ${tell(theirs)}, kafkajs ${tell(ours)}`,
  };
}
