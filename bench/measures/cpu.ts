import type { Measure } from '../bench.ts';
import { atMost, type Figure } from '../figure.ts';
import { median, medianRatio } from '../statistics.ts';
import type { Throughput } from '../contestants/pair.ts';
import { narrowRace } from './visible.ts';

export const cpu: Measure = {
  name: 'cpu',
  seconds: 1,
  quickSeconds: 0,
  shares: 'pair',
  about: "CPU (user and system) a change in the runs of `visible`, both sites together, next to the lab's pipeline; and bytes on the wire",
  async run(bench) {
    const { ours, lab } = await narrowRace(bench);
    return [
      cpuFigure(
        ours,
        lab.map(run => run.cpuUs),
      ),
      wireFigure(ours),
    ];
  },
};

function cpuFigure(runs: readonly Throughput[], lab: readonly number[]): Figure {
  const ours = runs.map(run => run.primaryCpuUs + run.secondaryCpuUs);
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
