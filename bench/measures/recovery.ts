import type { Measure } from '../bench.ts';
import { Pair } from '../contestants/pair.ts';
import { type Figure, atMost } from '../figure.ts';
import { DEEP, type Shape } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';
import { median } from '../statistics.ts';

const CHANGES = 1_000_000;

export const recovery: Measure = {
  name: 'recovery',
  seconds: 9,
  about: 'recovery of a killed site with 1M leaves and 1M changes since its snapshot: openStore until it is open',
  fullOnly: true,
  async run(bench) {
    bench.progress.tell('fills a site');
    const tookMs = await recover(bench.directory('recovery'), DEEP, bench.size(bench.rounds, 1));
    return [figure(tookMs)];
  },
};

/** @returns milliseconds that opening took, each time in a new process, after a kill */
export async function recover(directory: string, shape: Shape, rounds: number): Promise<number[]> {
  const pair = await Pair.start(directory, shape);
  await pair.primary.call('snapshot');
  const { revision } = await pair.primary.call('write', CHANGES, 0);
  await pair.close();
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const site = new SiteProcess();
    const opened = await site.call('open', { data: pair.primaryDirectory });
    if (opened.position.revision !== revision) throw new Error(`recovered ${opened.position.revision} of ${revision}`);
    tookMs.push(opened.tookMs);
    await site.kill();
  }
  return tookMs;
}

function figure(tookMs: readonly number[]): Figure {
  const title = 'recovery of a site, 1M leaves and 1M changes since its snapshot';
  return { measure: 'recovery', title, value: median(tookMs) / 1e3, unit: 's', floor: atMost(1.5, 0.8), detail: 'openStore after a kill' };
}
