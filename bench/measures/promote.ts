import type { Measure } from '../bench.ts';
import { RolePair } from '../contestants/role-pair.ts';
import { atMost } from '../figure.ts';
import { NARROW } from '../shape.ts';
import { median } from '../statistics.ts';

const PROMOTIONS = 10;
const QUICK_PROMOTIONS = 3;

export const promote: Measure = {
  name: 'promote',
  seconds: 6,
  fullOnly: true,
  about: "from the request to promote until the first durable write, when the primary's process is dead",
  async run(bench) {
    bench.progress.tell('fills both sites');
    const pair = await RolePair.start(bench.directory('promote'), NARROW);
    const times: number[] = [];
    for (let round = 0; round < bench.size(PROMOTIONS, QUICK_PROMOTIONS); round++) {
      bench.progress.tell(`promotion ${round + 1}`);
      times.push(await pair.promote());
    }
    await pair.close();
    const detail = `median of ${times.length}; worst ${Math.max(...times).toFixed(1)} ms; no silent site is waited for`;
    const title = 'promote, from the request until the first durable write';
    return [{ measure: 'promote', title, value: median(times), unit: 'ms', floor: atMost(100), detail }];
  },
};
