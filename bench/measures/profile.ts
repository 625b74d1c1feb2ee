import type { Beat, Pace } from '../beat.ts';
import type { Bench, Measure } from '../bench.ts';
import type { Pair } from '../contestants/pair.ts';
import type { Figure } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { STAGES } from '../site/stage-probe.ts';
import { quantile } from '../statistics.ts';
import { PER_SECOND, WARM_UP_SECONDS } from './lag.ts';

const SECONDS = 4;
const QUICK_SECONDS = 0.8;
/** The part of a run that is left out at its beginning, until the rate is steady. */
const LEFT_OUT = 0.2;
/** The changes that were visible last make up the tail. */
const TAIL = 0.99;

export const profile: Measure = {
  name: 'profile',
  seconds: 42,
  fullOnly: true,
  about: 'each stage of the lag: how long a change takes from one to the next',
  async run(bench) {
    const pair = await bench.probedPair(NARROW);
    const figures: Figure[] = [];
    for (const pace of ['beats', 'spins'] as const) figures.push(...(await stages(bench, pair, pace)));
    await pair.close();
    return figures;
  },
};

async function stages(bench: Bench, pair: Pair, pace: Pace): Promise<Figure[]> {
  const beat = (seconds: number): Beat => ({ pace, perSecond: PER_SECOND, count: PER_SECOND * seconds });
  bench.progress.tell(`a writer that ${pace}`);
  await pair.stages(beat(WARM_UP_SECONDS));
  const run = await pair.stages(beat(bench.size(SECONDS, QUICK_SECONDS)));
  const times = [run.made, ...STAGES.map(stage => run[stage])].map(each => each.slice(each.length * LEFT_OUT));
  const sinceCommit = times.map(each => between(times[0]!, each));
  const visible = sinceCommit[1 + STAGES.indexOf('visible')]!;
  const slow = quantile(visible, TAIL);
  return STAGES.map((stage, index) => {
    const took = between(times[index]!, times[index + 1]!);
    const whole = sinceCommit[index + 1]!;
    const inTail = took.filter((_, change) => visible[change]! >= slow);
    const mean = inTail.reduce((sum, each) => sum + each, 0) / inTail.length;
    return {
      measure: 'profile',
      title: `a writer that ${pace}: ${stage}, p50 since the stage before`,
      value: quantile(took, 0.5),
      unit: 'ms',
      detail: `p99 ${told(took, 0.99)}, in the slowest 1 % ${mean.toFixed(3)}; since the commit p50 ${told(whole, 0.5)}, p99 ${told(whole, 0.99)} ms`,
    };
  });
}

function between(from: Float64Array, to: Float64Array): Float64Array {
  return to.map((time, index) => time - from[index]!);
}

function told(values: Float64Array, fraction: number): string {
  return quantile(values, fraction).toFixed(3);
}
