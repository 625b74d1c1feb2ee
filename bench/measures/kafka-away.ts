import type { Measure } from '../bench.ts';
import { now } from '../clock.ts';
import { Pair } from '../contestants/pair.ts';
import { type Figure, atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';

const CHANGES = 2_000_000;
/** Fewer changes have a lower floor, so that memory which grows with the changes is still found. */
const QUICK_CHANGES = 500_000;
const STEPS = 10;
const MEBIBYTE = 1024 * 1024;
const MOST_MEBIBYTES = 64;
/** Changes before the first look at memory: they fill the caches. */
const WARM_UP_CHANGES = 500_000;
const QUICK_WARM_UP_CHANGES = 200_000;

export const kafkaAway: Measure = {
  name: 'kafka-away',
  seconds: 48,
  shares: 'broker',
  needs: 'kafka',
  about: "the primary's memory (heapUsed and external after garbage collection) while the broker is dead and 2M changes are committed",
  async run(bench) {
    const broker = await bench.broker();
    const pair = await Pair.start(bench.directory('kafka-away'), NARROW, { wire: await bench.kafkaWire() });
    await pair.connect();
    await pair.throughput(bench.size(WARM_UP_CHANGES, QUICK_WARM_UP_CHANGES));
    const { primary } = pair;
    const changes = bench.size(CHANGES, QUICK_CHANGES);
    const before = (await primary.call('memory')).total;
    await broker.kill();
    let most = before;
    for (let step = 0; step < STEPS; step++) {
      bench.progress.tell(`step ${step + 1} of ${STEPS}`);
      await primary.call('write', changes / STEPS, 0);
      most = Math.max(most, (await primary.call('memory')).total);
    }
    bench.progress.tell('the broker is back');
    await broker.restart();
    const back = now();
    await pair.equal();
    const caughtUpMs = now() - back;
    await pair.close();
    return [figure({ changes, before, most, caughtUpMs })];
  },
};

interface Away {
  readonly changes: number;
  /** Bytes, as the next one. */
  readonly before: number;
  readonly most: number;
  readonly caughtUpMs: number;
}

function figure({ changes, before, most, caughtUpMs }: Away): Figure {
  const looks = `${(before / MEBIBYTE).toFixed(0)} MiB before, ${STEPS} looks`;
  return {
    measure: 'kafka-away',
    title: `the primary's memory while the broker is away and ${changes / 1e6}M changes are committed`,
    value: (most - before) / MEBIBYTE,
    unit: 'MiB more',
    floor: atMost((MOST_MEBIBYTES * changes) / CHANGES),
    detail: `${looks}; the secondary was equal and durable ${(caughtUpMs / 1e3).toFixed(1)} s after the broker was back`,
  };
}
