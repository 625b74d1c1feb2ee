import type { Measure } from '../bench.ts';
import { Crowd } from '../contestants/crowd.ts';
import { type Figure, atLeast, atMost, short } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';

const MANY = 8;
const CHANGES = 500_000;
const QUICK_CHANGES = 100_000;
/** One secondary gets so many times as many changes: with fewer its run would end before it is at full speed. */
const MORE_FOR_ONE = 4;
const WARM_UP_CHANGES = 200_000;
const QUICK_WARM_UP_CHANGES = 100_000;
/** At this rate all processes have room on two cores. */
const BEAT = { commits: 5_000, everyMs: 100 };
const SECONDS = 3;
const QUICK_SECONDS = 1;

export const kafkaMany: Measure = {
  name: 'kafka-many',
  seconds: 80,
  shares: 'broker',
  needs: 'kafka',
  about: `${MANY} secondaries of one topic against 1: the sum of their rates, and the primary's CPU a change`,
  async run(bench) {
    bench.progress.tell(`starts ${MANY + 1} secondaries`);
    const crowds = { one: await startCrowd(1), many: await startCrowd(MANY) };
    const race = (run: (crowd: Crowd, name: keyof typeof crowds) => Promise<number>) =>
      interleave({ one: () => run(crowds.one, 'one'), many: () => run(crowds.many, 'many') }, bench.kafkaRounds, bench.progress);
    const changes = bench.size(CHANGES, QUICK_CHANGES);
    const rates = await race((crowd, name) => crowd.throughput(name === 'one' ? changes * MORE_FOR_ONE : changes));
    const bursts = { ...BEAT, bursts: (bench.size(SECONDS, QUICK_SECONDS) * 1e3) / BEAT.everyMs };
    const cpu: Record<keyof typeof crowds, number[]> = { one: [], many: [] };
    for (let round = 0; round < bench.kafkaRounds; round++) {
      bench.progress.tell(`round ${round + 1}, CPU`);
      // Both are measured at the same time: the cost of a commit depends on who else uses the caches and the cores.
      const [one, many] = await Promise.all([crowds.one.primaryCpu(bursts), crowds.many.primaryCpu(bursts)]);
      cpu.one.push(one);
      cpu.many.push(many);
    }
    for (const crowd of Object.values(crowds)) {
      await crowd.equal();
      await crowd.close();
    }
    return [rateFigure(rates), cpuFigure(cpu)];

    async function startCrowd(count: number): Promise<Crowd> {
      const crowd = await Crowd.start(bench.directory(`crowd-${count}`), NARROW, await bench.kafkaWire(), count);
      await crowd.throughput(bench.size(WARM_UP_CHANGES, QUICK_WARM_UP_CHANGES) * (count === 1 ? MORE_FOR_ONE : 1));
      return crowd;
    }
  },
};

function rateFigure({ one, many }: Record<'one' | 'many', number[]>): Figure {
  return {
    measure: 'kafka-many',
    title: `${MANY} secondaries of one topic, the sum of their rates, against 1`,
    value: medianRatio(many, one),
    unit: '×',
    floor: atLeast(2),
    detail: `${MANY} together ${short(median(many))}/s, one ${short(median(one))}/s; a change counts once all have it durable`,
  };
}

function cpuFigure({ one, many }: Record<'one' | 'many', number[]>): Figure {
  return {
    measure: 'kafka-many',
    title: `the primary's CPU a change with ${MANY} secondaries, against 1`,
    value: medianRatio(many, one),
    unit: '×',
    floor: atMost(1.2, 1.05),
    detail: `${median(many).toFixed(2)} µs and ${median(one).toFixed(2)} µs, both at once, ${BEAT.commits} commits each ${BEAT.everyMs} ms`,
  };
}
