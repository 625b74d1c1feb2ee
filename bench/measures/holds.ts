import type { Bench, Measure } from '../bench.ts';
import { type Holds, ServedPair } from '../contestants/served-pair.ts';
import { type Figure, atMost } from '../figure.ts';
import type { HoldCase } from '../holds/hold-case.ts';
import { ASKED, fullCopy, listenedCase, pastCases, snapshotWhileWriting, treeCases, watchedCase } from '../holds/reads.ts';
import { LARGE, replayCase, SMALL, writeCases } from '../holds/writes.ts';
import { DEEP, NARROW } from '../shape.ts';
import type { Stalls } from '../site/stalls.ts';
import { median } from '../statistics.ts';

/** The longest that a commit may hold the event loop for each leaf that it changes. */
const LEAF_US = 0.5;
const FLOOR_MS = 50;
const AIM_MS = 15;
/** The worst holders are named. */
const NAMED = 4;
const ROUNDS = 3;
const SITES = ['primary', 'secondary'] as const;

export const holds: Measure = {
  name: 'holds',
  about: 'the longest that one request, frame, watch or snapshot holds the event loop of a primary or a secondary, by name',
  fullOnly: true,
  async run(bench) {
    const shape = bench.options.quick ? NARROW : DEEP;
    bench.progress.tell('fills a pair');
    const pair = await ServedPair.start(bench.directory('holds'), shape);
    const [small, large] = ASKED;
    const writes = [...writeCases(SMALL), watchedCase(small!), listenedCase(small!), ...pastCases(small!), replayCase(SMALL)];
    // Once unmeasured: compilation is no part of what a request costs.
    await heldBy(bench, pair, writes, 1);
    const held = await heldBy(bench, pair, [...writes, ...treeCases, snapshotWhileWriting(shape)], bench.size(ROUNDS, 1));
    if (!bench.options.quick) {
      const more = [...writeCases(LARGE), watchedCase(large!), listenedCase(large!), ...pastCases(large!), replayCase(LARGE)];
      held.push(...(await heldBy(bench, pair, [...more, fullCopy], 1)));
    }
    await pair.close();
    return figuresOf(held);
  },
};

/** A case, a site, and how long it was held: the medians of the rounds. */
interface Held {
  readonly of: HoldCase;
  readonly site: keyof Holds;
  readonly stalls: Pick<Stalls, 'worstMs' | 'worstBeyondGcMs' | 'mostRanMs'>;
}

/** Runs the cases one after the other, and all of them again in the next round. */
async function heldBy(bench: Bench, pair: ServedPair, cases: readonly HoldCase[], rounds: number): Promise<Held[]> {
  const seen = new Map<HoldCase, Holds[]>(cases.map(each => [each, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [each, rows] of seen) {
      bench.progress.tell(each.name);
      await each.prepare?.(pair);
      rows.push(await pair.held(() => each.run(pair)));
    }
  }
  return [...seen].flatMap(([of, rows]) => SITES.map(site => ({ of, site, stalls: medians(rows.map(each => each[site])) })));
}

function medians(stalls: readonly Stalls[]): Held['stalls'] {
  const of = (name: keyof Stalls) => median(stalls.map(each => each[name]));
  return { worstMs: of('worstMs'), worstBeyondGcMs: of('worstBeyondGcMs'), mostRanMs: of('mostRanMs') };
}

function figuresOf(held: readonly Held[]): Figure[] {
  const small = held.filter(({ of }) => of.size === 'small');
  const large = held.filter(({ of }) => of.size === 'large');
  const commits = large.filter(({ of }) => of.leaves !== undefined);
  const sliced = large.filter(({ of }) => of.leaves === undefined);
  const what = 'the longest hold of the event loop';
  return [
    longest(`${what} by one request or frame up to 1 MiB or 10,000 operations, by watches and snapshots`, small, 'worstMs'),
    longest('the same, without garbage collection', small, 'worstBeyondGcMs'),
    ...(large.length === 0
      ? []
      : [
          longest(`${what} by one request above that, but for commits`, sliced, 'worstMs'),
          longest('the same, without garbage collection', sliced, 'worstBeyondGcMs'),
          aLeaf(commits),
        ]),
  ];
}

function longest(title: string, held: readonly Held[], figure: 'worstMs' | 'worstBeyondGcMs'): Figure {
  const sorted = held.toSorted((a, b) => b.stalls[figure] - a.stalls[figure]);
  const tell = ({ of, site, stalls }: Held) => `${of.name}, ${site}: ${stalls[figure].toFixed(1)} (ran ${stalls.mostRanMs.toFixed(1)})`;
  const detail = sorted.slice(0, NAMED).map(tell).join('; ');
  return { measure: 'holds', title, value: sorted[0]!.stalls[figure], unit: 'ms', floor: atMost(FLOOR_MS, AIM_MS), detail };
}

function aLeaf(held: readonly Held[]): Figure {
  const cost = ({ of, stalls }: Held) => (stalls.worstBeyondGcMs * 1e3) / of.leaves!;
  const sorted = held.toSorted((a, b) => cost(b) - cost(a));
  const detail = sorted.slice(0, NAMED).map(each => `${each.of.name}, ${each.site}: ${cost(each).toFixed(2)}`);
  return {
    measure: 'holds',
    title: 'the longest hold by one large commit, for each leaf that it changes, without garbage collection',
    value: cost(sorted[0]!),
    unit: 'µs',
    floor: atMost(LEAF_US),
    detail: detail.join('; '),
  };
}
