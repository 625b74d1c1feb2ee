import type { Measure } from '../bench.ts';
import { Installed } from '../contestants/installed.ts';
import { type Figure, type Floor, atMost } from '../figure.ts';
import { interleave, median } from '../statistics.ts';

const ROUNDS = 15;
const QUICK_ROUNDS = 10;

export const start: Measure = {
  name: 'start',
  seconds: 24,
  about: 'installed from the packed tarballs: the start of a primary until it answers, of `evertree get`, and of a store',
  fullOnly: true,
  async run(bench) {
    bench.progress.tell('packs and installs the packages');
    const installed = new Installed(bench.directory('start'));
    const site = await installed.startSite();
    const contest = {
      primary: () => startOnce(installed),
      get: () => installed.get(site.url),
      store: () => installed.openStore(),
      node: () => installed.node(),
    };
    // What the processes load is in the page cache and in the cache of compiled code then.
    for (const run of Object.values(contest)) await run();
    const times = await interleave(contest, bench.size(ROUNDS, QUICK_ROUNDS), bench.progress);
    await site.close();
    const node = `Node alone, \`node -e 0\`: ${(median(times.node) / 1e3).toFixed(3)} s`;
    return [
      figure('the program, from its start until it has answered what an empty tree holds', times.primary, node, atMost(0.35, 0.2)),
      figure('`evertree get` against a running site, from its start until its end', times.get, node, atMost(0.15, 0.1)),
      figure('a store on an empty directory, from the start of the process until it is open', times.store, node),
    ];
  },
};

async function startOnce(installed: Installed): Promise<number> {
  const site = await installed.startSite();
  await site.close();
  return site.tookMs;
}

function figure(title: string, times: readonly number[], node: string, floor?: Floor): Figure {
  const detail = `median of ${times.length}, worst ${(Math.max(...times) / 1e3).toFixed(3)} s; ${node}`;
  return { measure: 'start', title, value: median(times) / 1e3, unit: 's', detail, ...(floor === undefined ? {} : { floor }) };
}
