import type { Bench, Measure } from '../bench.ts';
import { Postgres, POSTGRES_MISSING, postgresVersion } from '../contestants/postgres.ts';
import { type Figure, atLeast, atMost, short } from '../figure.ts';
import { DEEP, NARROW } from '../shape.ts';
import type { HistoryTasks } from '../site/history-tasks.ts';
import { median, medianRatio, quantile } from '../statistics.ts';
import { Worker } from '../worker.ts';

const CHILD = new URL('../site/history-child.ts', import.meta.url);
const CHANGES = 10_000_000;
const QUICK_CHANGES = 300_000;
const QUESTIONS = 5_000;
/** Commits of one round of the measure of what indexing costs. */
const ROUND_CHANGES = 1_000_000;

class HistoryProcess extends Worker<HistoryTasks> {
  constructor() {
    super(CHILD);
  }
}

export const history: Measure = {
  name: 'history',
  seconds: 120,
  fullOnly: true,
  about: 'one leaf, and a page of its changes, anywhere in 10M commits; the index; beside a temporal table of PostgreSQL',
  async run(bench) {
    const changes = bench.size(CHANGES, QUICK_CHANGES);
    bench.progress.tell(`writes ${short(changes)} commits`);
    const site = new HistoryProcess();
    await site.call('open', bench.directory('history'), true);
    await site.call('fill', NARROW);
    await site.call('write', changes);
    const { bytes, changes: indexed, files, behindMs } = await site.call('indexed');
    bench.progress.tell('asks');
    const leaves = await site.call('readLeaves', QUESTIONS);
    const pages = await site.call('readPages', QUESTIONS);
    await site.kill();
    const size = `${short(changes)} commits over 100k leaves`;
    return [
      {
        measure: 'history',
        title: `a leaf as it was, anywhere in ${size}, p99`,
        value: quantile(leaves, 0.99),
        unit: 'ms',
        floor: atMost(50, 2),
        detail: `p50 ${quantile(leaves, 0.5).toFixed(3)}, worst ${quantile(leaves, 1).toFixed(1)} ms`,
      },
      {
        measure: 'history',
        title: `100 changes of a leaf, anywhere in ${size}, p99`,
        value: quantile(pages, 0.99),
        unit: 'ms',
        floor: atMost(50, 2),
        detail: `p50 ${quantile(pages, 0.5).toFixed(3)}, worst ${quantile(pages, 1).toFixed(1)} ms`,
      },
      {
        measure: 'history',
        title: 'index, bytes a change',
        value: bytes / indexed,
        unit: 'B',
        floor: atMost(16, 8),
        detail: `${files} files; all covered ${Math.round(behindMs)} ms after the last commit`,
      },
      ...(await besidePostgres(bench, changes, { leaves, pages })),
    ];
  },
};

function besideTitle(what: string): string {
  return `${what}: PostgreSQL's temporal table by trigger, against ours, p99`;
}

async function besidePostgres(
  bench: Bench,
  changes: number,
  ours: { readonly leaves: Float64Array; readonly pages: Float64Array },
): Promise<Figure[]> {
  const version = postgresVersion();
  if (version === undefined) {
    return [{ measure: 'history', title: besideTitle('the same questions'), value: Number.NaN, unit: '×', detail: POSTGRES_MISSING }];
  }
  bench.progress.tell('PostgreSQL');
  await using postgres = await Postgres.start(bench.options.data);
  const triggerUs = await postgres.fill(NARROW, changes);
  const leaves = await postgres.readLeaves(NARROW, changes, QUESTIONS);
  const pages = await postgres.readPages(NARROW, changes, QUESTIONS);
  const { table, index } = await postgres.bytesAChange();
  const figure = (what: string, theirs: readonly number[], own: Float64Array, more = ''): Figure => ({
    measure: 'history',
    title: besideTitle(what),
    value: quantile(theirs, 0.99) / quantile(own, 0.99),
    unit: '×',
    detail: `${version}: p50 ${quantile(theirs, 0.5).toFixed(3)}, p99 ${quantile(theirs, 0.99).toFixed(3)} ms${more}`,
  });
  const sizes = `; a change is ${Math.round(table)} B and ${Math.round(index)} B of index, and takes ${Math.round(triggerUs)} µs`;
  return [figure('a leaf as it was', leaves, ours.leaves, sizes), figure('100 changes of a leaf', pages, ours.pages)];
}

export const historyPin: Measure = {
  name: 'history-pin',
  seconds: 50,
  fullOnly: true,
  about: 'the whole tree of 1M leaves as it was, 1M commits after a snapshot; and how long the event loop was held',
  async run(bench) {
    const site = new HistoryProcess();
    await site.call('open', bench.directory('history-pin'), true);
    bench.progress.tell('fills a site');
    await site.call('fill', DEEP);
    const from = await site.call('snapshot');
    const changes = bench.size(ROUND_CHANGES, ROUND_CHANGES / 2);
    await site.call('write', changes);
    // As many again, so that the state is no nearer to the present one than to the snapshot.
    await site.call('write', changes);
    await site.call('indexed');
    const rounds = [];
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`pins, ${round + 1} of ${bench.rounds}`);
      rounds.push(await site.call('pin', from + changes - round));
    }
    await site.kill();
    const stalls = rounds.map(({ worstBeyondGcMs }) => worstBeyondGcMs);
    const size = `1M leaves, ${short(changes)} commits after a snapshot and before the present`;
    return [
      {
        measure: 'history-pin',
        title: `the whole tree as it was, ${size}`,
        value: median(rounds.map(({ tookMs }) => tookMs)) / 1e3,
        unit: 's',
        floor: atMost(2.5, 1),
        detail: '',
      },
      {
        measure: 'history-pin',
        title: 'the longest that the event loop was held meanwhile',
        value: median(stalls),
        unit: 'ms',
        floor: atMost(20),
        detail: `without garbage collection; with it ${Math.round(median(rounds.map(({ worstMs }) => worstMs)))} ms; the process ran ${Math.round(median(rounds.map(({ ranMs }) => ranMs)))} ms of it`,
      },
    ];
  },
};

export const historyWriting: Measure = {
  name: 'history-writing',
  seconds: 75,
  fullOnly: true,
  about: 'commits a second with indexing on, against off',
  async run(bench) {
    const on: number[] = [];
    const off: number[] = [];
    const own: number[] = [];
    const sites: [boolean, HistoryProcess][] = [];
    for (const isIndexed of [true, false]) {
      const site = new HistoryProcess();
      await site.call('open', bench.directory('history-writing'), isIndexed);
      await site.call('fill', NARROW);
      await site.call('write', ROUND_CHANGES / 4);
      sites.push([isIndexed, site]);
    }
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`round ${round + 1} of ${bench.rounds}`);
      for (const [isIndexed, site] of round % 2 === 0 ? sites : sites.toReversed()) {
        const { tookMs, cpuMs, threadMs } = await site.call('write', ROUND_CHANGES);
        (isIndexed ? on : off).push(ROUND_CHANGES / tookMs);
        if (!isIndexed) continue;
        own.push((cpuMs - threadMs) / ROUND_CHANGES);
        // What is still to be covered is not the next contestant's.
        await site.call('indexed');
      }
    }
    for (const [, site] of sites) await site.kill();
    return [
      {
        measure: 'history-writing',
        title: 'commits a second with indexing on, against off',
        value: medianRatio(on, off),
        unit: '×',
        floor: atLeast(0.95, 0.98),
        detail: `on ${short(median(on) * 1e3)}/s, off ${short(median(off) * 1e3)}/s; other threads took ${(median(own) * 1e3).toFixed(2)} µs a commit`,
      },
    ];
  },
};

export const historyVerify: Measure = {
  name: 'history-verify',
  seconds: 30,
  fullOnly: true,
  about: '`verify`: everything rebuilt, and checksums only',
  async run(bench) {
    const site = new HistoryProcess();
    await site.call('open', bench.directory('history-verify'), true);
    bench.progress.tell('fills a site');
    await site.call('fill', NARROW);
    await site.call('write', bench.size(4, 1) * ROUND_CHANGES);
    await site.call('indexed');
    bench.progress.tell('verifies');
    const rebuilt = await site.call('verify', false);
    const checked = await site.call('verify', true);
    await site.kill();
    const { bytes, milliseconds, damageCount } = rebuilt.verification;
    if (damageCount > 0) throw new Error(`verify found ${damageCount} damages`);
    const commits = rebuilt.verification.last.revision;
    return [
      {
        measure: 'history-verify',
        title: '`verify`, changes a second of CPU, all rebuilt',
        value: commits / (rebuilt.cpuMs / 1e3),
        unit: '/s',
        floor: atLeast(500_000, 1_000_000),
        detail: `${short(commits)} commits, ${short(bytes)} B in ${(milliseconds / 1e3).toFixed(1)} s`,
      },
      {
        measure: 'history-verify',
        title: '`verify --checksums-only`, MB a second of CPU',
        value: checked.verification.bytes / checked.cpuMs / 1e3,
        unit: 'MB/s',
        floor: atLeast(150, 300),
        detail: `${(checked.verification.milliseconds / 1e3).toFixed(1)} s`,
      },
    ];
  },
};
