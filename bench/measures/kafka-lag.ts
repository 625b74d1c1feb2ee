import type { Beat } from '../beat.ts';
import type { Measure } from '../bench.ts';
import { type Figure, atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { interleave, median, medianRatio, quantile } from '../statistics.ts';

const PER_SECOND = 1_000;
const SECONDS = 3;
const QUICK_SECONDS = 1;
/** The part of a run that is left out at its beginning, until the rate is steady. */
const LEFT_OUT = 0.2;
const MESSAGES = 1_000;
const QUICK_MESSAGES = 500;
/**
 * Slow traffic runs through other code than fast traffic, at both sites and in the broker. Until that code is compiled,
 * which takes two seconds, the lag is 10 ms instead of 3.
 */
const WARM_UP_MESSAGES = 2_000;
/** A frame with one change. */
const MESSAGE_BYTES = 200;

const beat = (count: number): Beat => ({ pace: 'beats', perSecond: PER_SECOND, count });

export const kafkaLag: Measure = {
  name: 'kafka-lag',
  seconds: 22,
  shares: 'broker',
  needs: 'kafka',
  about: `from commit to visible at the secondary through Kafka, at ${PER_SECOND} changes a second`,
  async run(bench) {
    const pair = await bench.kafkaPair(NARROW);
    const client = await bench.byHand(NARROW, 'only receives');
    bench.progress.tell('warms up');
    await pair.lag(beat(WARM_UP_MESSAGES));
    await client.sendToReceive(WARM_UP_MESSAGES, MESSAGE_BYTES);
    const worst: Record<'ours' | 'bare', number[]> = { ours: [], bare: [] };
    const measured = (name: 'ours' | 'bare', run: () => Promise<Float64Array>) => async (): Promise<number> => {
      const all = await run();
      const lags = all.slice(all.length * LEFT_OUT);
      worst[name].push(quantile(lags, 0.99));
      return quantile(lags, 0.5);
    };
    const ours = measured('ours', () => pair.lag(beat(PER_SECOND * bench.size(SECONDS, QUICK_SECONDS))));
    const bare = measured('bare', () => client.sendToReceive(bench.size(MESSAGES, QUICK_MESSAGES), MESSAGE_BYTES));
    const results = await interleave({ ours, bare }, bench.kafkaRounds, bench.progress);
    if (bench.options.profiles !== undefined) await pair.profiled('kafka-lag', () => pair.lag(beat(PER_SECOND * SECONDS)));
    return [figure(results, worst)];
  },
};

function figure(results: Record<'ours' | 'bare', number[]>, worst: Record<'ours' | 'bare', number[]>): Figure {
  const tell = (name: 'ours' | 'bare') => `p50 ${median(results[name]).toFixed(2)} ms, p99 ${median(worst[name]).toFixed(1)} ms`;
  return {
    measure: 'kafka-lag',
    title: "lag p50 through Kafka at 1,000 changes a second, against kafkajs's bare send to receive",
    value: medianRatio(results.ours, results.bare),
    unit: '×',
    floor: atMost(3),
    detail: `ours ${tell('ours')}; bare ${tell('bare')}`,
  };
}
