import type { Measure } from '../bench.ts';
import { NARROW } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';
import { median } from '../statistics.ts';
import type { Shares } from '../site/shares.ts';

const CHANGES = 500_000;
const QUICK_CHANGES = 100_000;
/** As many as a frame of 64 KiB holds. */
const PER_FRAME = 5_000;

export const shares: Measure = {
  name: 'shares',
  seconds: 11,
  fullOnly: true,
  about: "the digest's and the listeners' share of a commit, in a store without a disk",
  async run(bench) {
    const site = new SiteProcess();
    const runs: Shares[] = [];
    for (let round = 0; round < bench.size(bench.rounds, 1); round++) {
      runs.push(await site.call('shares', NARROW, bench.size(CHANGES, QUICK_CHANGES), PER_FRAME));
    }
    await site.kill();
    const commitNs = median(runs.map(run => run.commitNs));
    const share = (title: string, ns: number) => ({
      measure: 'shares',
      title,
      value: (ns / commitNs) * 100,
      unit: '% of a commit',
      detail: `${ns.toFixed(0)} ns of ${commitNs.toFixed(0)} ns, with its part of the frame`,
    });
    return [
      share('the digest', median(runs.map(run => run.digestNs))),
      share('a listener elsewhere, on top', median(runs.map(run => run.strangerNs))),
      share('a listener that every commit concerns, on top', median(runs.map(run => run.listenerNs))),
    ];
  },
};
