import type { Bench, Measure } from '../bench.ts';
import { now } from '../clock.ts';
import { Pair } from '../contestants/pair.ts';
import { type Figure, atMost } from '../figure.ts';
import { DEEP } from '../shape.ts';
import { median } from '../statistics.ts';
import { SHORT_JOURNAL } from './cold.ts';

export const kafkaCold: Measure = {
  name: 'kafka-cold',
  seconds: 8,
  shares: 'broker',
  needs: 'kafka',
  about: 'a new secondary of 1M leaves from the snapshot topic, from the start of its process until equal and durable',
  async run(bench) {
    const pair = await startPair(bench);
    const runs = [];
    for (let round = 0; round < bench.kafkaRounds; round++) {
      bench.progress.tell(`round ${round + 1}`);
      runs.push(await copy(pair));
    }
    await pair.close();
    return [figure(runs)];
  },
};

/**
 * The journal does not reach back, so the primary puts the tree into the snapshot topic. The first secondary waits
 * until it is there.
 */
async function startPair(bench: Bench): Promise<Pair> {
  bench.progress.tell('fills a pair');
  const wire = await bench.kafkaWire();
  const pair = await Pair.start(bench.directory('kafka-cold'), DEEP, { wire, journal: SHORT_JOURNAL });
  await pair.primary.call('snapshot');
  await pair.connect();
  return pair;
}

interface Copy {
  readonly startedMs: number;
  readonly equalMs: number;
}

async function copy(pair: Pair): Promise<Copy> {
  await pair.secondary?.kill();
  pair.freshSecondary();
  const { revision } = await pair.primary.call('state');
  const started = now();
  const secondary = await pair.startSecondary();
  const startedMs = now() - started;
  const equalMs = (await secondary.call('arrival', revision, 'durable')) - started;
  await pair.equal();
  const { site } = await secondary.call('state');
  const peer = await pair.primary.call('peer', site);
  if (peer?.copies !== 1) throw new Error('the secondary did not take a snapshot');
  return { startedMs, equalMs };
}

function figure(runs: readonly Copy[]): Figure {
  const startedMs = median(runs.map(run => run.startedMs));
  return {
    measure: 'kafka-cold',
    title: 'new secondary, 1M leaves, from the snapshot topic, until equal and durable',
    value: median(runs.map(run => run.equalMs)) / 1e3,
    unit: 's',
    floor: atMost(3),
    detail: `${(startedMs / 1e3).toFixed(2)} s of it until its process is up`,
  };
}
