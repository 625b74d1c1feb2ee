import type { Bench, Measure } from '../bench.ts';
import { type Figure, atLeast, short } from '../figure.ts';
import type { RedisFile } from '../contestants/redis.ts';
import { NARROW, type Shape, WIDE, leavesOf } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

const CHANGES = 1_000_000;
const QUICK_CHANGES = 200_000;
const QUICK_WIDE_CHANGES = 150_000;

export const visible: Measure = {
  name: 'visible',
  about: 'one-leaf commits visible at the secondary a second, 100k leaves, in-process writer, durable at both sites',
  async run(bench) {
    const { ours, always, none } = await race(bench, NARROW, bench.size(CHANGES, QUICK_CHANGES), ['always', 'none']);
    const durable = ratio('visible', `visible a second, 100k leaves, against ${nameOf('always')}`, ours, always, 3);
    const inMemory = ratio('visible', `visible a second, 100k leaves, against ${nameOf('none')}`, ours, none, 1);
    return bench.hasRedis ? [durable, inMemory] : [durable];
  },
};

export const wide: Measure = {
  name: 'wide',
  about: 'the same on 1M leaves in 100k-wide objects',
  async run(bench) {
    const { ours, always } = await race(bench, WIDE, bench.size(CHANGES, QUICK_WIDE_CHANGES), ['always']);
    return [ratio('wide', `visible a second, 1M leaves in 100k-wide objects, against ${nameOf('always')}`, ours, always, 2)];
  },
};

type Racer = 'ours' | 'always' | 'none';

async function race(bench: Bench, shape: Shape, changes: number, files: readonly RedisFile[]): Promise<Record<Racer, number[]>> {
  const racer = async (file: RedisFile) => {
    if (!bench.hasRedis || !files.includes(file)) return undefined;
    const redis = await bench.redis(file, shape);
    return () => redis.throughput(changes);
  };
  // Both are filled at the same time, as nothing is measured yet.
  const [pair, always, none] = await Promise.all([bench.pair(shape), racer('always'), racer('none')]);
  const contest = { ours: async () => (await pair.throughput(changes)).visiblePerSecond, always, none };
  const results = await interleave(contest, bench.rounds, (round, name) => bench.progress.tell(`round ${round + 1}, ${name}`));
  if (bench.options.profiles !== undefined) await pair.profiled(`visible-${leavesOf(shape)}`, () => pair.throughput(changes));
  return results;
}

export function nameOf(file: RedisFile): string {
  return file === 'always' ? 'Redis, appendfsync always' : 'Redis without a file';
}

/** The ratio of our figure to theirs, if there is one; else ours alone, in changes a second. */
export function ratio(measure: string, title: string, ours: readonly number[], theirs: readonly number[], floor: number): Figure {
  const own = `ours ${short(median(ours))}/s`;
  if (theirs.length === 0) return { measure, title, value: median(ours), unit: '/s', detail: own };
  return {
    measure,
    title,
    value: medianRatio(ours, theirs),
    unit: '×',
    floor: atLeast(floor),
    detail: `${own}, theirs ${short(median(theirs))}/s`,
  };
}
