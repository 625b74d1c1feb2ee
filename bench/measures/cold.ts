import type { Measure } from '../bench.ts';
import { Pair } from '../contestants/pair.ts';
import { RedisPair } from '../contestants/redis.ts';
import { now } from '../clock.ts';
import { type Figure, atMost } from '../figure.ts';
import type { Stalls } from '../site/stalls.ts';
import { DEEP } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

/**
 * A journal that does not reach back behind its snapshot, so that a cold secondary gets the whole tree: small segments
 * that go as soon as a snapshot covers them.
 */
export const SHORT_JOURNAL = { segmentBytes: 1024 * 1024, retentionMaxMs: 0, retentionRewindMs: 0 } as const;

export const cold: Measure = {
  name: 'cold',
  seconds: 10,
  about: 'a cold secondary of 1M leaves, until equal and durable; and stalls of the event loop at the primary meanwhile',
  fullOnly: true,
  async run(bench) {
    const options = { profiles: bench.options.profiles, journal: SHORT_JOURNAL };
    // Both are filled at the same time, as nothing is measured yet.
    const [pair, redis] = await Promise.all([
      Pair.start(bench.directory('cold'), DEEP, options),
      bench.hasRedis ? RedisPair.start(bench.directory('redis-cold'), 'none', DEEP) : undefined,
    ]);
    await pair.primary.call('snapshot');
    const stalls: Stalls[] = [];
    const ours = async (): Promise<number> => {
      const { tookMs, stalls: seen } = await copy(pair);
      stalls.push(seen);
      return tookMs;
    };
    const theirs = redis === undefined ? undefined : () => copyRedis(redis);
    bench.progress.tell('warms up the primary');
    await copy(pair);
    const results = await interleave({ ours, theirs }, bench.rounds, bench.progress);
    if (bench.options.profiles !== undefined) await copy(pair, 'cold');
    await Promise.all([pair.close(), redis?.close()]);
    return [copyFigure(results.ours, results.theirs), stallFigure(stalls)];
  },
};

/** Timed from the moment when the primary may connect: both processes run, and the secondary listens. */
async function copy(pair: Pair, profile?: string): Promise<{ readonly tookMs: number; readonly stalls: Stalls }> {
  pair.freshSecondary();
  const secondary = await pair.startSecondary();
  const { revision } = await pair.primary.call('state');
  const measured = async () => {
    await pair.primary.call('watchStalls');
    const durable = secondary.call('arrival', revision, 'durable');
    const started = now();
    await pair.feed();
    const tookMs = (await durable) - started;
    return { tookMs, stalls: await pair.primary.call('stalls') };
  };
  const result = profile === undefined ? await measured() : await pair.profiled(profile, measured);
  await pair.equal();
  const { site } = await secondary.call('state');
  const peer = await pair.primary.call('peer', site);
  if (peer?.copies !== 1) throw new Error('the secondary did not get a copy of the tree');
  await pair.primary.call('stopFeeding');
  await secondary.kill();
  return result;
}

async function copyRedis(redis: RedisPair): Promise<number> {
  await redis.startReplica();
  const tookMs = await redis.replicate();
  await redis.stopReplica();
  return tookMs;
}

function copyFigure(ours: readonly number[], theirs: readonly number[]): Figure {
  const title = 'cold secondary, 1M leaves, until equal and durable, against REPLICAOF';
  const own = `ours ${median(ours).toFixed(0)} ms`;
  if (theirs.length === 0) return { measure: 'cold', title, value: median(ours), unit: 'ms', detail: own };
  const detail = `${own}, theirs ${median(theirs).toFixed(0)} ms (in memory)`;
  return { measure: 'cold', title, value: medianRatio(ours, theirs), unit: '×', floor: atMost(0.4, 0.2), detail };
}

function stallFigure(stalls: readonly Stalls[]): Figure {
  const title = 'the longest stall of the primary meanwhile, beyond garbage collection';
  const worst = stalls.map(stall => stall.worstBeyondGcMs);
  const ran = median(stalls.map(stall => stall.ranMs));
  const detail = `of which the process ran ${ran.toFixed(1)} ms; the longest of all ${Math.max(...worst).toFixed(1)} ms`;
  return { measure: 'cold', title, value: median(worst), unit: 'ms', floor: atMost(20), detail };
}
