import type { Beat, Pace } from '../beat.ts';
import type { Bench, Measure } from '../bench.ts';
import { type Figure, type Floor, atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { interleave, median, medianRatio, quantile } from '../statistics.ts';
import { nameOf } from './visible.ts';

export const PER_SECOND = 5_000;
const SECONDS = 4;
const QUICK_SECONDS = 0.5;
/** In a quick run, too: one stall of the disk is much of a short round, so the median is that of no fewer. */
const ROUNDS = 5;
/**
 * The code that slow traffic uses is compiled by then, which a throughput run does not do. While V8's threads compile, a
 * site that has a frame to send or to take waits for a core for up to 4 ms, where it has two.
 */
export const WARM_UP_SECONDS = 16;
const QUICK_WARM_UP_SECONDS = 1;
/** The part of a run that is left out at its beginning, until the rate is steady. */
const LEFT_OUT = 0.2;

/** What its lag may be, as a multiple of that of Redis, for each kind of writer. */
const FLOORS: Readonly<Record<Pace, { readonly p50: Floor; readonly p99: Floor }>> = {
  beats: { p50: atMost(1, 0.6), p99: atMost(2, 1) },
  spins: { p50: atMost(1, 0.6), p99: atMost(4, 2) },
};

export const lag: Measure = {
  name: 'lag',
  seconds: 113,
  quickSeconds: 13,
  shares: 'pair',
  about: `from commit to visible at the secondary, at ${PER_SECOND} changes a second, by a writer that beats and by one that spins`,
  async run(bench) {
    const figures: Figure[] = [];
    for (const pace of ['beats', 'spins'] as const) figures.push(...(await race(bench, pace)));
    return figures;
  },
};

type Racer = 'ours' | 'always';

/** Of each round. */
interface Lags {
  readonly p50: Record<Racer, number[]>;
  readonly p99: Record<Racer, number[]>;
}

/** @returns its median's figure, and that of its tail */
async function race(bench: Bench, pace: Pace): Promise<Figure[]> {
  const pair = await bench.pair(NARROW);
  const redis = bench.hasRedis ? await bench.redis('always', NARROW) : undefined;
  const beat = (seconds: number): Beat => ({ pace, perSecond: PER_SECOND, count: PER_SECOND * seconds });
  bench.progress.tell(`warms up a writer that ${pace}`);
  const warmUp = beat(bench.size(WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS));
  await Promise.all([pair.lag(warmUp), redis?.lag(warmUp)]);
  const steady = beat(bench.size(SECONDS, QUICK_SECONDS));
  const p99: Record<Racer, number[]> = { ours: [], always: [] };
  const measured = (name: Racer, run: () => Promise<Float64Array>) => async (): Promise<number> => {
    const lags = (await run()).slice(steady.count * LEFT_OUT);
    p99[name].push(quantile(lags, 0.99));
    return quantile(lags, 0.5);
  };
  const ours = measured('ours', () => pair.lag(steady));
  const always = redis === undefined ? undefined : measured('always', () => redis.lag(steady));
  const p50 = await interleave({ ours, always }, ROUNDS, bench.progress);
  if (bench.options.profiles !== undefined) await pair.profiled(`lag-${pace}`, () => pair.lag(steady));
  return [figure(pace, 'p50', { p50, p99 }), figure(pace, 'p99', { p50, p99 })];
}

function figure(pace: Pace, part: 'p50' | 'p99', lags: Lags): Figure {
  const title = `lag ${part} at 5,000 changes a second, a writer that ${pace}, against ${nameOf('always')}`;
  const { ours, always } = lags[part];
  const own = `ours ${milliseconds(ours)}`;
  if (always.length === 0) return { measure: 'lag', title, value: median(ours), unit: 'ms', detail: own };
  return {
    measure: 'lag',
    title,
    value: medianRatio(ours, always),
    unit: '×',
    floor: FLOORS[pace][part],
    detail: `${own}, theirs ${milliseconds(always)}; rounds ${rounds(ours)} and ${rounds(always)}`,
  };
}

function milliseconds(values: readonly number[]): string {
  return `${median(values).toFixed(3)} ms`;
}

function rounds(values: readonly number[]): string {
  return values.map(value => value.toFixed(2)).join(' ');
}
