import type { Measure } from '../bench.ts';
import { type Comeback, RolePair } from '../contestants/role-pair.ts';
import { type Figure, atMost } from '../figure.ts';
import { DEEP, NARROW } from '../shape.ts';
import { median } from '../statistics.ts';

const DIVERGED = 10_000;

export const comeback: Measure = {
  name: 'comeback',
  seconds: 4,
  fullOnly: true,
  about: `an old primary comes back with ${DIVERGED} diverged commits, 1M leaves, its process running`,
  async run(bench) {
    const shape = bench.options.quick ? NARROW : DEEP;
    bench.progress.tell('fills both sites');
    const pair = await RolePair.start(bench.directory('comeback'), shape, { proxies: true });
    const runs: Comeback[] = [];
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`round ${round + 1}`);
      runs.push(await pair.comeBack(DIVERGED));
    }
    await pair.close();
    return [timeFigure(runs), bytesFigure(runs)];
  },
};

function timeFigure(runs: readonly Comeback[]): Figure {
  const times = runs.map(({ tookMs }) => tookMs / 1e3);
  return {
    measure: 'comeback',
    title: 'an old primary comes back, from the first contact until it follows, equal and durable',
    value: median(times),
    unit: 's',
    floor: atMost(2),
    detail: `worst ${Math.max(...times).toFixed(2)} s of ${runs.length}; up to 0.3 s of it until a primary dials`,
  };
}

function bytesFigure(runs: readonly Comeback[]): Figure {
  const [wire, diverged] = [runs.map(({ wireBytes }) => wireBytes), runs.map(({ divergedBytes }) => divergedBytes)];
  return {
    measure: 'comeback',
    title: 'the same, bytes on the wire, both ways, against those of the diverged commits',
    value: median(runs.map(({ wireBytes, divergedBytes }) => wireBytes / divergedBytes)),
    unit: '×',
    floor: atMost(5),
    detail: `${Math.round(median(wire) / 1e3)} kB on the wire, ${Math.round(median(diverged) / 1e3)} kB kept as a divergence`,
  };
}
