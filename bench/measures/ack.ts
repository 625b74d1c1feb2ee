import type { Measure } from '../bench.ts';
import { atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { median, medianRatio, quantile } from '../statistics.ts';

const COMMITS = 2_000;
const QUICK_COMMITS = 500;
/** The code that single commits use is compiled by then, which a throughput run does not do. */
const WARM_UP_COMMITS = 500;
/** The part of a run that is left out at its beginning. */
const LEFT_OUT = 0.2;

export const ack: Measure = {
  name: 'ack',
  seconds: 5,
  quickSeconds: 3,
  shares: 'pair',
  about: "a commit with one secondary's acknowledgement, one writer, against the durable lag of the same commits",
  async run(bench) {
    const pair = await bench.pair(NARROW);
    const count = bench.size(COMMITS, QUICK_COMMITS);
    bench.progress.tell('warms up');
    await pair.acknowledged(WARM_UP_COMMITS);
    const [told, durable]: [number[], number[]] = [[], []];
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`round ${round + 1}`);
      const times = await pair.acknowledged(count);
      told.push(quantile(times.told.slice(count * LEFT_OUT), 0.5));
      durable.push(quantile(times.durable.slice(count * LEFT_OUT), 0.5));
    }
    await pair.equal();
    const title = 'a commit with one acknowledgement, p50, one writer, against when it is durable at the secondary';
    const detail = `acknowledged after ${median(told).toFixed(3)} ms, durable there after ${median(durable).toFixed(3)} ms`;
    return [{ measure: 'ack', title, value: medianRatio(told, durable), unit: '×', floor: atMost(2), detail }];
  },
};
