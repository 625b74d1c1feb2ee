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
  needs: 'kafka',
  about: 'one-leaf commits through a real Kafka broker, visible at the secondary a second, against what a user writes by hand',
  async run(bench) {
    const pair = await bench.kafkaPair(NARROW);
    const hand = await bench.byHand(NARROW, 'applies');
    const cpu: Record<'ours' | 'byHand', number[]> = { ours: [], byHand: [] };
    const ours = async (): Promise<number> => {
      const run = await pair.throughput(bench.size(CHANGES, QUICK_CHANGES));
      cpu.ours.push(run.primaryCpuUs + run.secondaryCpuUs);
      return run.visiblePerSecond;
    };
    const byHand = async (): Promise<number> => {
      const run = await hand.throughput(bench.size(BY_HAND_CHANGES, QUICK_BY_HAND_CHANGES));
      cpu.byHand.push(run.cpuUs);
      return run.visiblePerSecond;
    };
    const results = await interleave({ ours, byHand }, bench.kafkaRounds, (round, name) =>
      bench.progress.tell(`round ${round + 1}, ${name}`),
    );
    if (bench.options.profiles !== undefined) await pair.profiled('kafka-visible', () => pair.throughput(CHANGES));
    return [rateFigure(results.ours, results.byHand, hand.firstPerSecond), cpuFigure(cpu.ours, cpu.byHand)];
  },
};

function rateFigure(ours: readonly number[], byHand: readonly number[], byHandFirst: number): Figure {
  return {
    measure: 'kafka-visible',
    title: `${TITLE}, against one written by hand`,
    value: medianRatio(ours, byHand),
    unit: '×',
    floor: atLeast(20),
    detail: `ours ${short(median(ours))}/s, by hand ${short(median(byHand))}/s (not yet warm: ${short(byHandFirst)}/s)`,
  };
}

function cpuFigure(ours: readonly number[], byHand: readonly number[]): Figure {
  return {
    measure: 'kafka-visible',
    title: 'CPU a change, both sites and no broker, against one written by hand',
    value: medianRatio(ours, byHand),
    unit: '×',
    detail: `ours ${median(ours).toFixed(2)} µs, by hand ${median(byHand).toFixed(1)} µs`,
  };
}
