import type { Measure } from '../bench.ts';
import { type Figure, atLeast, short } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

const CHANGES = 1_000_000;
const QUICK_CHANGES = 300_000;
/** A single one takes ten times as long. */
const BY_HAND_CHANGES = 100_000;
const QUICK_BY_HAND_CHANGES = 30_000;
const TITLE = 'visible a second through a real Kafka broker, 100k leaves';

export const kafkaVisible: Measure = {
  name: 'kafka-visible',
  seconds: 45,
  shares: 'broker',
  needs: 'kafka',
  about: 'one-leaf commits through a real Kafka broker, visible at the secondary a second, against what a user writes by hand',
  async run(bench) {
    const pairs = { ours: await bench.kafkaPair(NARROW), platformatic: await bench.kafkaPair(NARROW, 'platformatic') };
    const hand = await bench.byHand(NARROW, 'applies');
    const cpu: Record<'ours' | 'platformatic' | 'byHand', number[]> = { ours: [], platformatic: [], byHand: [] };
    const pairRate = (name: keyof typeof pairs) => async (): Promise<number> => {
      const run = await pairs[name].throughput(bench.size(CHANGES, QUICK_CHANGES));
      cpu[name].push(run.primaryCpuUs + run.secondaryCpuUs);
      return run.visiblePerSecond;
    };
    const byHand = async (): Promise<number> => {
      const run = await hand.throughput(bench.size(BY_HAND_CHANGES, QUICK_BY_HAND_CHANGES));
      cpu.byHand.push(run.cpuUs);
      return run.visiblePerSecond;
    };
    // Starting a pair warms it up; the client by hand gets a run that does not count.
    await hand.throughput(bench.size(BY_HAND_CHANGES, QUICK_BY_HAND_CHANGES));
    const contest = { ours: pairRate('ours'), platformatic: pairRate('platformatic'), byHand };
    const results = await interleave(contest, bench.kafkaRounds, bench.progress);
    if (bench.options.profiles !== undefined) await pairs.ours.profiled('kafka-visible', () => pairs.ours.throughput(CHANGES));
    return [
      ...figures('', { rate: results.ours, cpu: cpu.ours }, { rate: results.byHand, cpu: cpu.byHand }, hand.firstPerSecond),
      ...figures(
        ', by @platformatic/kafka',
        { rate: results.platformatic, cpu: cpu.platformatic },
        { rate: results.byHand, cpu: cpu.byHand },
        hand.firstPerSecond,
      ),
    ];
  },
};

interface Runs {
  /** Visible a second. */
  readonly rate: readonly number[];
  /** Microseconds a change. */
  readonly cpu: readonly number[];
}

function figures(how: string, ours: Runs, byHand: Runs, byHandFirst: number): Figure[] {
  return [
    {
      measure: 'kafka-visible',
      title: `${TITLE}${how}, against one written by hand`,
      value: medianRatio(ours.rate, byHand.rate),
      unit: '×',
      floor: atLeast(12, 20),
      detail: `ours ${short(median(ours.rate))}/s, by hand ${short(median(byHand.rate))}/s (not yet warm: ${short(byHandFirst)}/s)`,
    },
    {
      measure: 'kafka-visible',
      title: `CPU a change, both sites and no broker${how}, against one written by hand`,
      value: medianRatio(ours.cpu, byHand.cpu),
      unit: '×',
      detail: `ours ${median(ours.cpu).toFixed(2)} µs, by hand ${median(byHand.cpu).toFixed(1)} µs`,
    },
  ];
}
