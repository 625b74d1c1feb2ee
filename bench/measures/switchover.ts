import type { Bench, Measure } from '../bench.ts';
import { RolePair, type Swap } from '../contestants/role-pair.ts';
import { type Figure, atMost } from '../figure.ts';
import { DEEP, NARROW, leavesOf } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

const PER_SECOND = 5_000;
const SWAPS = 20;
const QUICK_SWAPS = 4;

export const switchover: Measure = {
  name: 'switchover',
  seconds: 41,
  fullOnly: true,
  about: `the longest pause of a writer when roles are swapped, at ${PER_SECOND} commits a second, 1M leaves`,
  async run(bench) {
    const shape = bench.options.quick ? NARROW : DEEP;
    bench.progress.tell('fills both sites');
    const pair = await RolePair.start(bench.directory('roles'), shape);
    const redis = bench.hasRedis ? await bench.redis('always', shape) : undefined;
    const swaps: Swap[] = [];
    const results = await interleave(
      { ours: () => swap(pair, swaps), always: redis === undefined ? undefined : () => redis.failover(PER_SECOND) },
      bench.size(SWAPS, QUICK_SWAPS),
      bench.progress,
    );
    await pair.close();
    const worst = worstOf('switchover', leavesOf(shape), { swaps, floorMs: 60 });
    return results.always.length === 0 ? [worst] : [worst, against(results.ours, results.always)];
  },
};

export const kafkaSwitchover: Measure = {
  name: 'kafka-switchover',
  seconds: 32,
  shares: 'broker',
  needs: 'kafka',
  about: 'the same through a topic of a real broker, Evertree alone',
  async run(bench) {
    const shape = bench.options.quick ? NARROW : DEEP;
    const pair = await startThroughTopic(bench, shape);
    const swaps: Swap[] = [];
    for (let round = 0; round < bench.size(SWAPS, QUICK_SWAPS); round++) {
      bench.progress.tell(`swap ${round + 1}`);
      await swap(pair, swaps);
    }
    await pair.close();
    return [worstOf('kafka-switchover', leavesOf(shape), { swaps, floorMs: 500 })];
  },
};

async function startThroughTopic(bench: Bench, shape: typeof NARROW): Promise<RolePair> {
  bench.progress.tell('fills both sites');
  return RolePair.start(bench.directory('kafka-roles'), shape, { wire: await bench.kafkaWire() });
}

async function swap(pair: RolePair, swaps: Swap[]): Promise<number> {
  const made = await pair.swap(PER_SECOND);
  swaps.push(made);
  return made.pauseMs;
}

interface Swaps {
  readonly swaps: readonly Swap[];
  readonly floorMs: number;
}

function worstOf(measure: string, leaves: number, { swaps, floorMs }: Swaps): Figure {
  const wire = measure === 'kafka-switchover' ? 'through Kafka, ' : '';
  const [pauses, told, usual] = [swaps.map(each => each.pauseMs), swaps.map(each => each.toldMs), swaps.map(each => each.usualMs)];
  return {
    measure,
    title: `switchover ${wire}${leaves / 1e6}M leaves, ${swaps.length} swaps: the worst pause that a writer saw`,
    value: Math.max(...pauses),
    unit: 'ms',
    floor: atMost(floorMs),
    detail:
      `median ${median(pauses).toFixed(1)} ms; the sites told ${median(told).toFixed(1)} ms, at most ${Math.max(...told).toFixed(1)} ms; ` +
      `without a swap ${median(usual).toFixed(1)} ms, at most ${Math.max(...usual).toFixed(1)} ms`,
  };
}

function against(ours: readonly number[], theirs: readonly number[]): Figure {
  return {
    measure: 'switchover',
    title: 'the same, median, against FAILOVER of Redis, appendfsync always',
    value: medianRatio(ours, theirs),
    unit: '×',
    floor: atMost(0.3),
    detail: `ours ${median(ours).toFixed(1)} ms; theirs ${median(theirs).toFixed(1)} ms, worst ${Math.max(...theirs).toFixed(1)} ms`,
  };
}
