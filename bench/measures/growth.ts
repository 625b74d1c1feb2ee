import type { Bench, Measure } from '../bench.ts';
import { Pair } from '../contestants/pair.ts';
import { type Figure, short } from '../figure.ts';
import type { Shape } from '../shape.ts';
import { leavesOf } from '../shape.ts';
import { quantile } from '../statistics.ts';
import { heapPerLeaf } from './heap.ts';
import { recover } from './recovery.ts';
import { fallBehind } from './restart.ts';

const SIZES: readonly Shape[] = [100, 1_000, 10_000, 30_000].map(devices => ({ devices, interfaces: 10 }));
/** With the larger ones a quick run would take minutes. */
const QUICK_SIZES = SIZES.slice(0, 2);
const CHANGES = 1_000_000;
const PER_SECOND = 5_000;
const LAG_CHANGES = 10_000;

export const growth: Measure = {
  name: 'growth',
  seconds: 120,
  about: 'how each figure grows from 10k to 3M leaves; one run each',
  fullOnly: true,
  async run(bench) {
    const figures: Figure[] = [];
    for (const shape of bench.options.quick ? QUICK_SIZES : SIZES) {
      bench.progress.tell(`${short(leavesOf(shape))} leaves`);
      figures.push(...(await grown(bench, shape)));
    }
    return figures.toSorted((a, b) => a.title.localeCompare(b.title));
  },
};

async function grown(bench: Bench, shape: Shape): Promise<Figure[]> {
  const size = `${short(leavesOf(shape))} leaves`;
  const figure = (title: string, value: number, unit: string): Figure => ({ measure: 'growth', title, value, unit, detail: size });
  const pair = await Pair.startConnected(bench.directory('growth'), shape);
  await pair.throughput(CHANGES / 4);
  const run = await pair.throughput(CHANGES);
  const lag = await pair.lag({ pace: 'spins', perSecond: PER_SECOND, count: LAG_CHANGES });
  const { equalMs } = await fallBehind(pair, CHANGES);
  await pair.close();
  const [recoveryMs] = await recover(bench.directory('growth-recovery'), shape, 1);
  return [
    figure('visible a second', run.visiblePerSecond, '/s'),
    figure('CPU a change', run.primaryCpuUs + run.secondaryCpuUs, 'µs'),
    figure('bytes a change', run.bytesPerChange, 'B'),
    figure('lag p50', quantile(lag, 0.5), 'ms'),
    figure('restart, 1M changes behind', equalMs, 'ms'),
    figure('recovery, 1M changes', recoveryMs ?? Number.NaN, 'ms'),
    figure('heap a leaf', await heapPerLeaf(bench.directory('growth-heap'), shape), 'B'),
  ];
}
