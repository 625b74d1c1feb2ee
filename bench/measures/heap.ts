import type { Measure } from '../bench.ts';
import { atMost } from '../figure.ts';
import { DEEP, type Shape, leavesOf } from '../shape.ts';
import { SiteProcess } from '../site/site-process.ts';

export const heap: Measure = {
  name: 'heap',
  seconds: 1,
  fullOnly: true,
  about: 'heap a leaf, 10-key records, 1M leaves (heapUsed after garbage collection)',
  async run(bench) {
    const value = await heapPerLeaf(bench.directory('heap'), DEEP);
    const title = 'heap a leaf, 10-key records';
    return [{ measure: 'heap', title, value, unit: 'B', floor: atMost(60), detail: 'heapUsed of a full site less that of an empty one' }];
  },
};

export async function heapPerLeaf(data: string, shape: Shape): Promise<number> {
  const site = new SiteProcess();
  await site.call('open', { data });
  const before = await site.call('memory');
  await site.call('fill', shape);
  const after = await site.call('memory');
  await site.kill();
  return (after.heapUsed - before.heapUsed) / leavesOf(shape);
}
