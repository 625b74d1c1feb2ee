import type { Measure } from '../bench.ts';
import { now } from '../clock.ts';
import { Pair } from '../contestants/pair.ts';
import { type Figure, atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';

const CHANGES = 2_000_000;
const STEPS = 10;
const MEBIBYTE = 1024 * 1024;
const MOST_MEBIBYTES = 64;
/** Before the first look at memory, so that caches are as full as they get. */
const WARM_UP_CHANGES = 500_000;

export const kafkaAway: Measure = {
  name: 'kafka-away',
  needs: 'kafka',
  about: "the primary's memory (heapUsed and external after garbage collection) while the broker is dead and 2M changes are committed",
  async run(bench) {
    const broker = await bench.broker();
    const pair = await Pair.start(bench.directory('kafka-away'), NARROW, { wire: await bench.kafkaWire() });
    await pair.connect();
    await pair.throughput(WARM_UP_CHANGES);
    const { primary } = pair;
    const before = (await primary.call('memory')).total;
    await broker.kill();
    let most = before;
    for (let step = 0; step < STEPS; step++) {
      bench.progress.tell(`step ${step + 1} of ${STEPS}`);
      await primary.call('write', CHANGES / STEPS, 0);
      most = Math.max(most, (await primary.call('memory')).total);
    }
    bench.progress.tell('the broker is back');
    await broker.restart();
    const back = now();
    await pair.equal();
    const caughtUpMs = now() - back;
    await pair.close();
    return [figure(before, most, caughtUpMs)];
  },
};

function figure(before: number, most: number, caughtUpMs: number): Figure {
  const looks = `${(before / MEBIBYTE).toFixed(0)} MiB before, ${STEPS} looks`;
  return {
    measure: 'kafka-away',
    title: "the primary's memory while the broker is away and 2M changes are committed",
    value: (most - before) / MEBIBYTE,
    unit: 'MiB more',
    floor: atMost(MOST_MEBIBYTES),
    detail: `${looks}; the secondary was equal and durable ${(caughtUpMs / 1e3).toFixed(1)} s after the broker was back`,
  };
}
