import type { Bench, Measure } from '../bench.ts';
import { type Holds, ServedPair } from '../contestants/served-pair.ts';
import { type Figure, atMost } from '../figure.ts';
import type { HoldCase } from '../holds/hold-case.ts';
import { fullCopy, listenedCase, pastCases, snapshotWhileWriting, treeCases, watchedCase, wholeBlame } from '../holds/reads.ts';
import { LARGE, replayCase, SMALL, type Sizes, writeCases } from '../holds/writes.ts';
import { DEEP, NARROW, type Shape } from '../shape.ts';
import type { Stalls } from '../site/stalls.ts';

/** The longest that a commit may hold the event loop for each leaf that it changes. */
const LEAF_US = 0.5;
const FLOOR_MS = 50;
const AIM_MS = 15;
/** The worst holders are named. */
const NAMED = 4;
const WHAT = 'the longest hold of the event loop';
const SITES = ['primary', 'secondary'] as const;

export const holds: Measure = {
  name: 'holds',
  seconds: 81,
  about: 'the longest that one request, frame, watch or snapshot holds the event loop of a primary or a secondary, by name',
  fullOnly: true,
  async run(bench) {
    const shape = bench.options.quick ? NARROW : DEEP;
    await using pair = await servedPair(bench, shape);
    const writes = casesOf(SMALL);
    // Once unmeasured: compilation is no part of what a request costs.
    await heldBy(bench, pair, writes);
    const held = await heldBy(bench, pair, [...writes, ...treeCases, snapshotWhileWriting(shape)]);
    return [
      longest('holds', `${WHAT} by one request or frame up to 1 MiB or 10,000 operations, by watches and snapshots`, held, 'worstMs'),
      longest('holds', 'the same, without garbage collection', held, 'worstBeyondGcMs'),
    ];
  },
};

export const holdsLarge: Measure = {
  name: 'holds-large',
  seconds: 467,
  about: 'the same for requests above 1 MiB or 10,000 operations, and what a commit costs for each leaf that it changes',
  fullOnly: true,
  async run(bench) {
    await using pair = await servedPair(bench, bench.options.quick ? NARROW : DEEP);
    const held = await heldBy(bench, pair, [...casesOf(LARGE), fullCopy, wholeBlame]);
    const sliced = held.filter(({ of }) => of.leaves === undefined);
    return [
      longest('holds-large', `${WHAT} by one request above that, but for commits`, sliced, 'worstMs'),
      longest('holds-large', 'the same, without garbage collection', sliced, 'worstBeyondGcMs'),
      aLeaf(held.filter(({ of }) => of.leaves !== undefined)),
    ];
  },
};

/** What is done by requests of these sizes, or with commits of so many operations. */
function casesOf(sizes: Sizes): HoldCase[] {
  const { operations, pastOperations } = sizes;
  return [...writeCases(sizes), watchedCase(operations), listenedCase(operations), ...pastCases(pastOperations), replayCase(sizes)];
}

function servedPair(bench: Bench, shape: Shape): Promise<ServedPair> {
  bench.progress.tell('fills a pair');
  return ServedPair.start(bench.directory('holds'), shape);
}

/** A case, a site, and how long it was held. */
interface Held {
  readonly of: HoldCase;
  readonly site: keyof Holds;
  readonly stalls: Stalls;
}

function tellStalls({ worstMs, worstBeyondGcMs, mostRanMs, ...beyond }: Stalls): string {
  return `${worstMs.toFixed(1)} ms, ran ${mostRanMs.toFixed(1)} at most; without garbage collection ${worstBeyondGcMs.toFixed(1)} (${madeOf(beyond)})`;
}

/** What the longest hold without garbage collection was made of: the rest is collection, and waiting for the disk. */
function madeOf({ ranMs, waitedMs }: Pick<Stalls, 'ranMs' | 'waitedMs'>): string {
  const ran = `ran ${ranMs.toFixed(1)}`;
  return waitedMs === undefined ? ran : `${ran}, waited for a core ${waitedMs.toFixed(1)}`;
}

/** Runs the cases one after the other. */
async function heldBy(bench: Bench, pair: ServedPair, cases: readonly HoldCase[]): Promise<Held[]> {
  const held: Held[] = [];
  for (const of of cases) {
    bench.progress.tell(of.name);
    await of.prepare?.(pair);
    const found = await pair.held(() => of.run(pair));
    held.push(...SITES.map(site => ({ of, site, stalls: found[site] })));
    for (const site of SITES) bench.progress.tell(`  → ${site}: ${tellStalls(found[site])}`);
  }
  return held;
}

function longest(measure: string, title: string, held: readonly Held[], figure: 'worstMs' | 'worstBeyondGcMs'): Figure {
  const sorted = held.toSorted((a, b) => b.stalls[figure] - a.stalls[figure]);
  const tell = ({ of, site, stalls }: Held) => {
    const parts = figure === 'worstMs' ? `ran ${stalls.mostRanMs.toFixed(1)} at most` : madeOf(stalls);
    return `${of.name}, ${site}: ${stalls[figure].toFixed(1)} (${parts})`;
  };
  const detail = sorted.slice(0, NAMED).map(tell).join('; ');
  return { measure, title, value: sorted[0]!.stalls[figure], unit: 'ms', floor: atMost(FLOOR_MS, AIM_MS), detail };
}

function aLeaf(held: readonly Held[]): Figure {
  const cost = ({ of, stalls }: Held) => (stalls.worstBeyondGcMs * 1e3) / of.leaves!;
  const sorted = held.toSorted((a, b) => cost(b) - cost(a));
  const detail = sorted.slice(0, NAMED).map(each => `${each.of.name}, ${each.site}: ${cost(each).toFixed(2)} (${madeOf(each.stalls)} ms)`);
  return {
    measure: 'holds-large',
    title: 'the longest hold by one large commit, for each leaf that it changes, without garbage collection',
    value: cost(sorted[0]!),
    unit: 'µs',
    floor: atMost(LEAF_US),
    detail: detail.join('; '),
  };
}
