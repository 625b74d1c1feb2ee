import type { Measure } from '../bench.ts';
import { Pair } from '../contestants/pair.ts';
import { now } from '../clock.ts';
import { type Figure, type Floor, atMost } from '../figure.ts';
import { NARROW, type Shape, WIDE } from '../shape.ts';
import { median } from '../statistics.ts';

const CHANGES = 1_000_000;

interface Tree {
  readonly shape: Shape;
  readonly title: string;
  /** Seconds. */
  readonly floor: Floor;
}

const TREES: readonly Tree[] = [
  { shape: NARROW, title: '100k leaves', floor: atMost(1.2, 0.8) },
  { shape: WIDE, title: '1M leaves in 100k-wide objects', floor: atMost(2.5, 1.5) },
];

export const restart: Measure = {
  name: 'restart',
  seconds: 40,
  about: 'restart of a secondary 1M changes behind, 100k and 1M leaves, from the start of its process until equal',
  fullOnly: true,
  async run(bench) {
    const figures = [];
    // Filling the larger one takes longer than a quick run may.
    for (const tree of bench.options.quick ? TREES.slice(0, 1) : TREES) {
      const runs = [];
      for (let round = 0; round < bench.size(bench.rounds, 1); round++) {
        bench.progress.tell(`${tree.title}, round ${round + 1}`);
        // Each round has a new secondary: recovery takes longer the more history there is since the last snapshot.
        const pair = await Pair.startConnected(bench.directory('restart'), tree.shape);
        bench.progress.tell('it falls behind');
        runs.push(await fallBehind(pair, CHANGES));
        bench.progress.found(runs.at(-1)!.equalMs);
        await pair.close();
      }
      figures.push(figure(tree, runs));
    }
    return figures;
  },
};

interface Return {
  readonly startedMs: number;
  readonly equalMs: number;
}

/** Kills the secondary, writes, and starts it again; milliseconds from the start of its process. */
export async function fallBehind(pair: Pair, changes: number): Promise<Return> {
  await pair.secondary?.kill();
  const { revision } = await pair.primary.call('write', changes, 0);
  const started = now();
  const secondary = await pair.startSecondary();
  const startedMs = now() - started;
  const equalMs = (await secondary.call('arrival', revision, 'visible')) - started;
  await pair.equal();
  return { startedMs, equalMs };
}

function figure({ title, floor }: Tree, runs: readonly Return[]): Figure {
  const startedMs = median(runs.map(run => run.startedMs));
  return {
    measure: 'restart',
    title: `restart of a secondary 1M changes behind, until equal, ${title}`,
    value: median(runs.map(run => run.equalMs)) / 1e3,
    unit: 's',
    floor,
    detail: `${(startedMs / 1e3).toFixed(2)} s of it until its process listens; then up to 0.07 s until the primary dials`,
  };
}
