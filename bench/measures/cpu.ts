import type { Measure } from '../bench.ts';
import { atMost, type Figure } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { interleave, median, medianRatio } from '../statistics.ts';
import type { Throughput } from '../contestants/pair.ts';

const CHANGES = 1_000_000;
const QUICK_CHANGES = 500_000;
const QUICK_ROUNDS = 2;

export const cpu: Measure = {
  name: 'cpu',
  about: "CPU (user and system) a change, both sites together, next to the lab's pipeline; and bytes on the wire",
  async run(bench) {
    const pair = await bench.pair(NARROW);
    const { lab } = bench;
    const changes = bench.size(CHANGES, QUICK_CHANGES);
    const runs: Throughput[] = [];
    const ours = async (): Promise<number> => {
      const run = await pair.throughput(changes);
      runs.push(run);
      return run.primaryCpuUs + run.secondaryCpuUs;
    };
    const contest = { ours, lab: lab === undefined ? undefined : () => lab.cpuPerChange(changes) };
    const rounds = lab === undefined ? bench.rounds : bench.size(bench.rounds, QUICK_ROUNDS);
    const results = await interleave(contest, rounds, (round, name) => bench.progress.tell(`round ${round + 1}, ${name}`));
    return [cpuFigure(results.ours, results.lab, runs), wireFigure(runs)];
  },
};

function cpuFigure(ours: readonly number[], lab: readonly number[], runs: readonly Throughput[]): Figure {
  const primary = median(runs.map(run => run.primaryCpuUs));
  const secondary = median(runs.map(run => run.secondaryCpuUs));
  const own = `ours ${median(ours).toFixed(2)} µs (primary ${primary.toFixed(2)}, secondary ${secondary.toFixed(2)})`;
  const title = "CPU a change, both sites, against the lab's pipeline";
  if (lab.length === 0) return { measure: 'cpu', title, value: median(ours), unit: 'µs', detail: `${own}; the lab joins with --lab DIR` };
  const detail = `${own}, lab ${median(lab).toFixed(2)} µs`;
  return { measure: 'cpu', title, value: medianRatio(ours, lab), unit: '×', floor: atMost(1.5), detail };
}

function wireFigure(runs: readonly Throughput[]): Figure {
  const value = median(runs.map(run => run.bytesPerChange));
  const detail = 'all that was sent to the secondary, over the changes';
  return { measure: 'cpu', title: 'bytes on the wire a one-leaf change', value, unit: 'B', floor: atMost(16), detail };
}
