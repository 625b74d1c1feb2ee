import type { Bench, Measure } from '../bench.ts';
import { type Figure, type Floor, atLeast, short } from '../figure.ts';
import type { LabRun } from '../contestants/lab.ts';
import type { Throughput } from '../contestants/pair.ts';
import type { RedisFile } from '../contestants/redis.ts';
import { NARROW, WIDE } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

const CHANGES = 1_000_000;
const QUICK_CHANGES = 400_000;
const QUICK_WIDE_CHANGES = 200_000;
/**
 * Rounds of Redis are as long as ours with fewer changes. Its rate does not depend on their number: its code needs no
 * warming up, and its window of unsettled changes is a small part of them.
 */
export const QUICK_REDIS_CHANGES: Readonly<Record<RedisFile, number>> = { always: 100_000, none: 200_000 };

export const visible: Measure = {
  name: 'visible',
  seconds: 50,
  quickSeconds: 12,
  shares: 'pair',
  about:
    "one-leaf commits visible at the secondary a second, 100k leaves, in-process writer, durable at both sites; beside Redis and the lab's pipeline",
  async run(bench) {
    const { ours, lab, always, none } = await narrowRace(bench);
    const own = ours.map(run => run.visiblePerSecond);
    const title = 'visible a second, 100k leaves';
    const rows = [ratio('visible', `${title}, against ${nameOf('always')}`, { ours: own, theirs: always }, atLeast(2.5, 4))];
    if (none.length > 0) rows.push(ratio('visible', `${title}, against ${nameOf('none')}`, { ours: own, theirs: none }, atLeast(1, 1.5)));
    const theirs = lab.map(run => run.visiblePerSecond);
    if (theirs.length > 0) rows.push(ratio('visible', `${title}, against the lab's pipeline`, { ours: own, theirs }, atLeast(0.9, 1.1)));
    return rows;
  },
};

export const wide: Measure = {
  name: 'wide',
  seconds: 55,
  quickSeconds: 14,
  about: 'the same on 1M leaves in 100k-wide objects, beside Redis',
  async run(bench) {
    const redis = bench.hasRedis ? bench.redis('always', WIDE) : undefined;
    // Both are filled at the same time, as nothing is measured yet.
    const [pair, rival] = await Promise.all([bench.pair(WIDE), redis]);
    const changes = bench.size(CHANGES, QUICK_WIDE_CHANGES);
    const rivals = bench.size(CHANGES, QUICK_REDIS_CHANGES.always);
    const { ours, always } = await interleave(
      {
        ours: async () => (await pair.throughput(changes)).visiblePerSecond,
        always: rival === undefined ? undefined : () => rival.throughput(rivals),
      },
      bench.rounds,
      bench.progress,
    );
    if (bench.options.profiles !== undefined) await pair.profiled('wide', () => pair.throughput(changes));
    const title = `visible a second, 1M leaves in 100k-wide objects, against ${nameOf('always')}`;
    return [ratio('wide', title, { ours, theirs: always }, atLeast(2, 3))];
  },
};

/** What each contestant did, round by round. */
export interface NarrowRace {
  readonly ours: readonly Throughput[];
  readonly lab: readonly LabRun[];
  readonly always: readonly number[];
  readonly none: readonly number[];
}

const races = new WeakMap<Bench, Promise<NarrowRace>>();

/** The race that `visible` and `cpu` take their figures from: a run of the bench has it once. */
export function narrowRace(bench: Bench): Promise<NarrowRace> {
  const race = races.get(bench) ?? runNarrowRace(bench);
  races.set(bench, race);
  return race;
}

async function runNarrowRace(bench: Bench): Promise<NarrowRace> {
  const changes = bench.size(CHANGES, QUICK_CHANGES);
  const rival = async (file: RedisFile) => {
    if (!bench.hasRedis) return undefined;
    const redis = await bench.redis(file, NARROW);
    return () => redis.throughput(bench.size(CHANGES, QUICK_REDIS_CHANGES[file]));
  };
  // Both are filled at the same time, as nothing is measured yet.
  const [pair, always, none] = await Promise.all([bench.pair(NARROW), rival('always'), rival('none')]);
  const ours: Throughput[] = [];
  const labRuns: LabRun[] = [];
  const { lab } = bench;
  const results = await interleave(
    {
      ours: () => kept(ours, pair.throughput(changes)),
      lab: lab === undefined ? undefined : () => kept(labRuns, lab.run(changes)),
      always,
      none,
    },
    bench.rounds,
    bench.progress,
  );
  if (bench.options.profiles !== undefined) await pair.profiled('visible', () => pair.throughput(changes));
  return { ours, lab: labRuns, always: results.always, none: results.none };
}

/** Keeps the whole run. @returns its rate */
async function kept<Run extends { readonly visiblePerSecond: number }>(runs: Run[], running: Promise<Run>): Promise<number> {
  const run = await running;
  runs.push(run);
  return run.visiblePerSecond;
}

export function nameOf(file: RedisFile): string {
  return file === 'always' ? 'Redis, appendfsync always' : 'Redis without a file';
}

interface Rates {
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** The ratio of our figure to theirs, if there is one; else ours alone, in changes a second. */
export function ratio(measure: string, title: string, { ours, theirs }: Rates, floor: Floor): Figure {
  const own = `ours ${short(median(ours))}/s`;
  if (theirs.length === 0) return { measure, title, value: median(ours), unit: '/s', detail: own };
  return { measure, title, value: medianRatio(ours, theirs), unit: '×', floor, detail: `${own}, theirs ${short(median(theirs))}/s` };
}
