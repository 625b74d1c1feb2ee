import type { Measure } from '../bench.ts';
import { type Figure, atMost, short } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { Pair } from '../contestants/pair.ts';
import { now } from '../clock.ts';

const CHANGES = 10_000_000;
/** Fewer changes have a lower floor, so that memory which grows with the changes is still found. */
const QUICK_CHANGES = 1_000_000;
const STEPS = 10;
const MEBIBYTE = 1024 * 1024;
const MOST_MEBIBYTES = 64;
/** The tolerance of «back»: caches and compiled code may have grown a little. */
const BACK_MEBIBYTES = 16;
/** Changes before the first look at memory: they fill the caches. */
const WARM_UP_CHANGES = 1_000_000;

export const away: Measure = {
  name: 'away',
  seconds: 16,
  fullOnly: true,
  about: "the primary's memory (heapUsed and external after garbage collection) while a secondary is away and 10M changes are committed",
  async run(bench) {
    const pair = await Pair.start(bench.directory('away'), NARROW);
    await pair.connect();
    await pair.throughput(bench.size(WARM_UP_CHANGES, WARM_UP_CHANGES / 4));
    const { primary } = pair;
    const changes = bench.size(CHANGES, QUICK_CHANGES);
    const before = (await primary.call('memory')).total;
    await pair.secondary?.kill();
    let most = before;
    for (let step = 0; step < STEPS; step++) {
      bench.progress.tell(`${short((changes / STEPS) * step)} changes`);
      await primary.call('write', changes / STEPS, 0);
      most = Math.max(most, (await primary.call('memory')).total);
    }
    bench.progress.tell('the secondary catches up');
    const started = now();
    await pair.startSecondary();
    await pair.equal();
    const caughtUpMs = now() - started;
    const after = (await primary.call('memory')).total;
    await pair.close();
    return figures({ changes, before, most, after, caughtUpMs });
  },
};

interface Away {
  readonly changes: number;
  /** Bytes, as the next two. */
  readonly before: number;
  readonly most: number;
  readonly after: number;
  readonly caughtUpMs: number;
}

function figures({ changes, before, most, after, caughtUpMs }: Away): Figure[] {
  const whileAway = `the primary's memory while a secondary is away and ${changes / 1e6}M changes are committed`;
  const looks = `${(before / MEBIBYTE).toFixed(0)} MiB before, ${STEPS} looks`;
  const caughtUp = `the secondary was equal and durable ${(caughtUpMs / 1e3).toFixed(1)} s after its start`;
  return [
    figure(whileAway, most - before, (MOST_MEBIBYTES * changes) / CHANGES, looks),
    figure('the same when it is back', after - before, BACK_MEBIBYTES, caughtUp),
  ];
}

function figure(title: string, moreBytes: number, floorMebibytes: number, detail: string): Figure {
  return { measure: 'away', title, value: moreBytes / MEBIBYTE, unit: 'MiB more', floor: atMost(floorMebibytes), detail };
}
