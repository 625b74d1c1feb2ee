import type { Bench, Measure } from '../bench.ts';
import { now } from '../clock.ts';
import { Pair, type Throughput } from '../contestants/pair.ts';
import { type Figure, atMost, short } from '../figure.ts';
import { NARROW, type Shape, leavesOf } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';
import type { Stalls } from '../site/stalls.ts';
import { median, quantile } from '../statistics.ts';

const SHAPE: Shape = { devices: 100_000, interfaces: 10 };
const HEAP = ['--max-old-space-size=2048'];
const WARM_UP_CHANGES = 250_000;
const CHANGES = 500_000;
const ROUNDS = 3;
const PER_SECOND = 5_000;
const LAG_CHANGES = 20_000;

export const tenMillion: Measure = {
  name: 'ten-million',
  seconds: 40,
  about: '10M leaves, a heap of 2 GiB at both sites: commits, lag, a snapshot, recovery, bytes a leaf; CPU a commit against 100k leaves',
  fullOnly: true,
  async run(bench) {
    bench.progress.tell('fills the primary');
    const pair = await Pair.start(bench.directory('ten-million'), SHAPE, { flags: HEAP });
    bench.progress.tell('the secondary catches up');
    const started = now();
    await pair.connect();
    const copyMs = now() - started;
    const narrow = await bench.pair(NARROW);
    await pair.throughput(WARM_UP_CHANGES);
    const [ours, small] = await alternate(bench, pair, narrow);
    bench.progress.tell('lag');
    const lag = await pair.lag({ pace: 'beats', perSecond: PER_SECOND, count: LAG_CHANGES });
    bench.progress.tell('snapshot');
    const snapshot = await saveSnapshot(pair);
    const { revision } = await pair.primary.call('write', CHANGES, 1);
    await pair.equal();
    const heap = [(await pair.primary.call('memory')).heapUsed, (await pair.secondary!.call('memory')).heapUsed];
    await pair.close();
    bench.progress.tell('recovers');
    const recoveryMs = await recover(pair, revision);
    return [
      cpuFigure(ours, small),
      figure(
        'visible a second',
        median(ours.map(run => run.visiblePerSecond)),
        '/s',
        `100k leaves: ${short(median(small.map(run => run.visiblePerSecond)))}/s`,
      ),
      figure(`lag p50 at ${PER_SECOND} changes a second`, quantile(lag, 0.5), 'ms', `p99 ${quantile(lag, 0.99).toFixed(2)} ms`),
      figure('a snapshot, saved', snapshot.tookMs / 1e3, 's', stallsText(snapshot.stalls)),
      figure(`recovery, ${short(CHANGES)} changes since the snapshot`, recoveryMs / 1e3, 's', 'openStore after a kill'),
      figure('a new secondary, until equal and durable', copyMs / 1e3, 's', "from the start of its process, with Node's own start"),
      figure(
        'heap a leaf',
        Math.max(...heap) / leavesOf(SHAPE),
        'B',
        `after collection, all that the process has; primary ${mib(heap[0]!)}, secondary ${mib(heap[1]!)}`,
      ),
    ];
  },
};

/** Rounds at both sizes, one after the other, so that other load hits both. */
async function alternate(bench: Bench, large: Pair, small: Pair): Promise<[Throughput[], Throughput[]]> {
  const runs: [Throughput[], Throughput[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    bench.progress.tell(`round ${round + 1} of ${ROUNDS}`);
    runs[0].push(await large.throughput(CHANGES));
    runs[1].push(await small.throughput(CHANGES));
  }
  await large.equal();
  return runs;
}

async function saveSnapshot({ primary }: Pair): Promise<{ readonly tookMs: number; readonly stalls: Stalls }> {
  await primary.call('watchStalls');
  const started = now();
  await primary.call('snapshot');
  const tookMs = now() - started;
  return { tookMs, stalls: await primary.call('stalls') };
}

async function recover(pair: Pair, revision: number): Promise<number> {
  const site = new SiteProcess(HEAP);
  const { position, tookMs } = await site.call('open', { data: pair.primaryDirectory });
  if (position.revision !== revision) throw new Error(`recovered ${position.revision} of ${revision}`);
  await site.kill();
  return tookMs;
}

function cpuFigure(ours: readonly Throughput[], small: readonly Throughput[]): Figure {
  const [large, narrow] = [median(ours.map(bothSites)), median(small.map(bothSites))];
  const sides = (side: 'primaryCpuUs' | 'secondaryCpuUs') => median(ours.map(run => run[side])).toFixed(2);
  return {
    measure: 'ten-million',
    title: '10M leaves: CPU a commit, both sites, against 100k leaves',
    value: large / narrow,
    unit: '×',
    floor: atMost(10, 4),
    detail: `${large.toFixed(2)} µs (primary ${sides('primaryCpuUs')}, secondary ${sides('secondaryCpuUs')}) and ${narrow.toFixed(2)} µs`,
  };
}

function bothSites({ primaryCpuUs, secondaryCpuUs }: Throughput): number {
  return primaryCpuUs + secondaryCpuUs;
}

function figure(title: string, value: number, unit: string, detail: string): Figure {
  return { measure: 'ten-million', title: `10M leaves: ${title}`, value, unit, detail };
}

function stallsText({ worstMs, worstBeyondGcMs }: Stalls): string {
  return `the longest hold of the event loop meanwhile ${worstMs.toFixed(1)} ms, without garbage collection ${worstBeyondGcMs.toFixed(1)} ms`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
