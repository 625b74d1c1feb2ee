import type { Measure } from '../bench.ts';
import { type Figure, atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { interleave, median, medianRatio, quantile } from '../statistics.ts';

const PER_SECOND = 5_000;
const SECONDS = 4;
const QUICK_SECONDS = 0.6;
/** The part of a run that is left out at its beginning, until the rate is steady. */
const LEFT_OUT = 0.2;

export const lag: Measure = {
  name: 'lag',
  about: `from commit to visible at the secondary, at ${PER_SECOND} changes a second`,
  async run(bench) {
    const pair = await bench.pair(NARROW);
    const count = PER_SECOND * bench.size(SECONDS, QUICK_SECONDS);
    const worst: Record<'ours' | 'always', number[]> = { ours: [], always: [] };
    const measured = (name: 'ours' | 'always', run: () => Promise<Float64Array>) => async (): Promise<number> => {
      const lags = (await run()).slice(count * LEFT_OUT);
      worst[name].push(quantile(lags, 0.99));
      return quantile(lags, 0.5);
    };
    const ours = measured('ours', () => pair.lag(PER_SECOND, count));
    const redis = bench.hasRedis ? await bench.redis('always', NARROW) : undefined;
    const always = redis === undefined ? undefined : measured('always', () => redis.lag(PER_SECOND, count));
    const results = await interleave({ ours, always }, bench.rounds, (round, name) => bench.progress.tell(`round ${round + 1}, ${name}`));
    if (bench.options.profiles !== undefined) await pair.profiled('lag', () => pair.lag(PER_SECOND, count));
    return [figure(results, worst)];
  },
};

function figure(results: Record<'ours' | 'always', number[]>, worst: Record<'ours' | 'always', number[]>): Figure {
  const title = 'lag p50 at 5,000 changes a second, against Redis, appendfsync always';
  const tell = (name: 'ours' | 'always', p50: readonly number[]) =>
    `p50 ${median(p50).toFixed(3)} ms, p99 ${median(worst[name]).toFixed(2)} ms`;
  const own = `ours ${tell('ours', results.ours)}`;
  if (results.always.length === 0) return { measure: 'lag', title, value: median(results.ours), unit: 'ms', detail: own };
  const value = medianRatio(results.ours, results.always);
  return { measure: 'lag', title, value, unit: '×', floor: atMost(1), detail: `${own}; theirs ${tell('always', results.always)}` };
}
