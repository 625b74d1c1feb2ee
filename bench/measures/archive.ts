import type { Bench, Measure } from '../bench.ts';
import { ArchivedPostgres, PGBACKREST_MISSING, pgbackrestVersion } from '../contestants/pgbackrest.ts';
import { postgresVersion } from '../contestants/postgres.ts';
import { type Figure, atLeast, atMost, short } from '../figure.ts';
import { now } from '../clock.ts';
import { DEEP, NARROW, type Shape, leavesOf } from '../shape.ts';
import type { ArchiveTasks, Place, Served } from '../site/archive-tasks.ts';
import { median, medianRatio, quantile } from '../statistics.ts';
import { Worker } from '../worker.ts';
import { makeBucket, S3_ENVIRONMENT, startS3 } from '../../test/support/s3/server.ts';

const CHILD = new URL('../site/archive-child.ts', import.meta.url);
const MILLION = 1_000_000;
const QUICK_CHANGES = 100_000;
/** Commits of one round of the measure of what archiving costs. */
const ROUND_CHANGES = 1_000_000;
const QUICK_ROUND_CHANGES = 300_000;
const MOMENT = 'the-moment';
const BUCKET = 'bench';
const STEADY_PER_SECOND = 1_000;

class ArchiveProcess extends Worker<ArchiveTasks> {
  constructor() {
    super(CHILD);
  }
}

/** A full run has 1M leaves, a quick one 100k. */
function shapeOf(bench: Bench): Shape {
  return bench.options.quick ? NARROW : DEEP;
}

function sizeOf(shape: Shape, changes: number): string {
  return `${short(leavesOf(shape))} leaves and ${short(changes)} changes`;
}

export const archiveWriting: Measure = {
  name: 'archive-writing',
  seconds: 37,
  fullOnly: true,
  about: 'commits a second with a continuous encrypted archive, against none',
  async run(bench) {
    const on: number[] = [];
    const off: number[] = [];
    const changes = bench.size(ROUND_CHANGES, QUICK_ROUND_CHANGES);
    const sites: [boolean, ArchiveProcess][] = [];
    for (const isArchived of [true, false]) {
      const site = new ArchiveProcess();
      const place: Place = { target: bench.directory('archive'), encrypted: true };
      await site.call('open', bench.directory('archive-writing'), ...(isArchived ? [place] : []));
      await site.call('fill', NARROW);
      await site.call('write', changes / 4);
      await site.call('settled');
      sites.push([isArchived, site]);
    }
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`round ${round + 1} of ${bench.rounds}`);
      for (const [isArchived, site] of round % 2 === 0 ? sites : sites.toReversed()) {
        (isArchived ? on : off).push(changes / (await site.call('write', changes)));
        // What is still to be done in threads is not the next contestant's.
        await site.call('settled');
      }
    }
    for (const [, site] of sites) await site.kill();
    return [
      {
        measure: 'archive-writing',
        title: 'commits a second with a continuous encrypted archive, against none',
        value: medianRatio(on, off),
        unit: '×',
        floor: atLeast(0.9, 0.97),
        detail: `with ${short(median(on) * 1e3)}/s, without ${short(median(off) * 1e3)}/s; into a directory, no secondary`,
      },
    ];
  },
};

export const archiveSize: Measure = {
  name: 'archive-size',
  seconds: 15,
  fullOnly: true,
  about: 'bytes of an incremental backup, and of an archive against lines of JSON',
  async run(bench) {
    const shape = shapeOf(bench);
    const place: Place = { target: bench.directory('archive'), encrypted: true };
    const site = new ArchiveProcess();
    await site.call('open', bench.directory('archive-size'));
    bench.progress.tell('fills a site');
    await site.call('fill', shape);
    await site.call('aimAnywhere', shape);
    // A tree of equal devices would be nothing once it is compressed: each leaf gets a number of its own.
    await site.call('write', leavesOf(shape));
    const full = await site.call('backup', place);
    const percent = leavesOf(shape) / 100;
    await site.call('write', percent);
    const incremental = await site.call('backup', place);
    bench.progress.tell('writes many changes');
    const changes = bench.size(MILLION, QUICK_CHANGES);
    await site.call('aimAtCounters', shape);
    const lines = await site.call('bytesAsLines', changes);
    await site.call('write', changes);
    const before = await site.call('bytesOf', place.target);
    const all = await site.call('backup', place);
    const stored = (await site.call('bytesOf', place.target)) - before;
    await site.kill();
    return [
      {
        measure: 'archive-size',
        title: `an incremental backup after 1 % of ${short(leavesOf(shape))} leaves changed, against the full one, bytes`,
        value: (incremental.bytes / full.bytes) * 100,
        unit: '%',
        floor: atMost(2),
        detail: `${short(incremental.bytes)}B (${(incremental.bytes / percent).toFixed(1)} a change) and ${short(full.bytes)}B, encrypted; each leaf had been set once; ${Math.round(incremental.milliseconds)} and ${Math.round(full.milliseconds)} ms`,
      },
      {
        measure: 'archive-size',
        title: 'an archive against the same changes as lines {op, path, value}, bytes',
        value: stored / lines,
        unit: '×',
        floor: atMost(0.1, 0.05),
        detail: `${short(changes)} changes: ${(stored / changes).toFixed(2)} B and ${(lines / changes).toFixed(1)} B each; ${short(all.plainBytes)}B before compression and encryption`,
      },
    ];
  },
};

export const archiveAge: Measure = {
  name: 'archive-age',
  seconds: 21,
  fullOnly: true,
  about: 'the age of the newest change in the archive at 1,000 commits a second',
  async run(bench) {
    const site = new ArchiveProcess();
    await site.call('open', bench.directory('archive-age'), { target: bench.directory('archive'), encrypted: true });
    await site.call('fill', NARROW);
    await site.call('settled');
    const seconds = bench.size(20, 10);
    bench.progress.tell(`commits for ${seconds} s`);
    const ages = await site.call('ages', STEADY_PER_SECOND, seconds);
    await site.kill();
    const counted = ages.slice(ages.length / 5);
    return [
      {
        measure: 'archive-age',
        title: 'the age of the newest change in the archive at 1,000 commits a second, p99',
        value: quantile(counted, 0.99),
        unit: 'ms',
        floor: atMost(2_000, 300),
        detail: `p50 ${Math.round(quantile(counted, 0.5))}, worst ${Math.round(quantile(counted, 1))} ms; encrypted, into a directory, with the defaults`,
      },
    ];
  },
};

/** A site that was archived, with a named moment behind which it went on. */
async function archivedSite(bench: Bench, place: Place, shape: Shape, changes: number): Promise<{ readonly digest: string }> {
  bench.progress.tell('fills a site and archives it');
  const site = new ArchiveProcess();
  await site.call('open', bench.directory('archived-site'));
  await site.call('fill', shape);
  await site.call('backup', place);
  await site.call('aimAnywhere', shape);
  await site.call('write', changes);
  const marked = await site.call('mark', MOMENT);
  await site.call('write', changes / 10);
  await site.call('backup', place);
  await site.kill();
  return marked;
}

/** In a process of its own. @returns milliseconds from its start until it took a write */
async function restoredOnce(bench: Bench, place: Place, digest: string): Promise<{ readonly tookMs: number; readonly served: Served }> {
  const began = now();
  const site = new ArchiveProcess();
  const served = await site.call('restore', place, bench.directory('restored'), MOMENT);
  const tookMs = now() - began;
  await site.kill();
  if (served.digest !== digest) throw new Error(`restored the tree ${served.digest}, and ${digest} was archived`);
  return { tookMs, served };
}

export const archiveRestore: Measure = {
  name: 'archive-restore',
  seconds: 78,
  fullOnly: true,
  about: 'a restore to a named moment until it serves, from a directory, against PostgreSQL with pgBackRest',
  async run(bench) {
    const shape = shapeOf(bench);
    const changes = bench.size(MILLION, QUICK_CHANGES);
    const place: Place = { target: bench.directory('archive'), encrypted: false };
    const { digest } = await archivedSite(bench, place, shape, changes);
    const versions = [postgresVersion(), pgbackrestVersion()];
    const isThere = versions.every(version => version !== undefined);
    if (isThere) bench.progress.tell('fills PostgreSQL and archives it');
    await using postgres = isThere ? await ArchivedPostgres.make(bench.options.data, shape, changes, changes / 10) : undefined;
    const ours: number[] = [];
    const theirs: number[] = [];
    const files: number[] = [];
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`restores, ${round + 1} of ${bench.rounds}`);
      const own = async () => {
        const { tookMs, served } = await restoredOnce(bench, place, digest);
        ours.push(tookMs);
        files.push(served.restoredMs);
      };
      const other = async () => {
        if (postgres !== undefined) theirs.push(await postgres.restore());
      };
      for (const act of round % 2 === 0 ? [own, other] : [other, own]) await act();
    }
    const size = sizeOf(shape, changes);
    return [
      {
        measure: 'archive-restore',
        title: `restore ${size} to a named moment from a directory, until it takes writes`,
        value: median(ours) / 1e3,
        unit: 's',
        floor: atMost(2.5),
        detail: `from the start of the process; ${(median(files) / 1e3).toFixed(2)} s of it until the files were there`,
      },
      besidePostgres(ours, theirs, versions),
    ];
  },
};

function besidePostgres(
  ours: readonly number[],
  theirs: readonly number[],
  [postgres, pgbackrest]: readonly (string | undefined)[],
): Figure {
  const row = { measure: 'archive-restore', title: 'the same, against PostgreSQL with pgBackRest, replay included', unit: '×' };
  if (theirs.length === 0) return { ...row, value: Number.NaN, detail: PGBACKREST_MISSING };
  const detail = `ours ${inSeconds(ours)}; PostgreSQL ${postgres}, pgBackRest ${pgbackrest} ${inSeconds(theirs)}`;
  return { ...row, value: medianRatio(ours, theirs), floor: atMost(0.5, 0.3), detail };
}

export const archiveS3: Measure = {
  name: 'archive-s3',
  seconds: 27,
  fullOnly: true,
  about: 'the same restore from a real S3 server, encrypted',
  needs: 's3',
  async run(bench) {
    Object.assign(process.env, S3_ENVIRONMENT);
    await using server = await startS3({ data: bench.directory('s3'), tell: line => process.stderr.write(`${line}\n`) });
    await makeBucket(server, BUCKET);
    const shape = shapeOf(bench);
    const changes = bench.size(MILLION, QUICK_CHANGES);
    const place: Place = { target: `s3://${BUCKET}/site`, endpoint: server.endpoint, encrypted: true };
    const { digest } = await archivedSite(bench, place, shape, changes);
    const took: number[] = [];
    for (let round = 0; round < bench.rounds; round++) {
      bench.progress.tell(`restores, ${round + 1} of ${bench.rounds}`);
      took.push((await restoredOnce(bench, place, digest)).tookMs);
    }
    return [
      {
        measure: 'archive-s3',
        title: `restore ${sizeOf(shape, changes)} to a named moment from S3, encrypted, until it takes writes`,
        value: median(took) / 1e3,
        unit: 's',
        floor: atMost(4, 2),
        detail: 'from the start of the process; the server is on this machine',
      },
    ];
  },
};

export const archiveMemory: Measure = {
  name: 'archive-memory',
  seconds: 18,
  fullOnly: true,
  about: 'memory of backup, restore and verify, beyond the tree',
  async run(bench) {
    if (process.platform !== 'linux') return [memoryFigure([], 'Linux alone tells the highest memory of a process')];
    const shape = shapeOf(bench);
    const place: Place = { target: bench.directory('archive'), encrypted: true };
    const data = bench.directory('archive-memory');
    const filler = new ArchiveProcess();
    await filler.call('open', data);
    bench.progress.tell('fills a site');
    await filler.call('fill', shape);
    await filler.call('aimAnywhere', shape);
    await filler.call('write', bench.size(MILLION, QUICK_CHANGES));
    await filler.call('close');
    await filler.kill();
    const peaks: [string, number][] = [];
    // It starts a thread, and loads its code from TypeScript: what that takes stays with the process.
    let first = 0;
    const restored = bench.directory('restored');
    for (const task of ['backup', 'restore', 'verify'] as const) {
      bench.progress.tell(task);
      const site = new ArchiveProcess();
      if (task === 'backup') {
        await site.call('open', data);
        // What the filler left to be indexed takes a thread of its own, and its memory.
        await site.call('settled');
        first = await site.call('peakOf', task, { ...place, target: bench.directory('archive') }, '');
      }
      peaks.push([task, await site.call('peakOf', task, place, restored)]);
      await site.kill();
    }
    const tree = await treeIn(restored);
    // A backup builds none, and that of its site was there before.
    const beyond = peaks.map(([task, peak]): [string, number] => [task, task === 'backup' ? peak : peak - tree]);
    const size = sizeOf(shape, bench.size(MILLION, QUICK_CHANGES));
    return [
      memoryFigure(
        beyond,
        `${beyond.map(([task, peak]) => `${task} ${Math.round(peak)}`).join(', ')} MiB; the tree that restore and verify build ${Math.round(tree)}; the first backup of a process, which starts a thread, ${Math.round(first)}; ${size}, encrypted`,
      ),
    ];
  },
};

/** In a process of its own. @returns MiB of the heap that the tree of a site takes */
async function treeIn(data: string): Promise<number> {
  const site = new ArchiveProcess();
  const tree = await site.call('treeOf', data);
  await site.kill();
  return tree;
}

function inSeconds(took: readonly number[]): string {
  return `${(median(took) / 1e3).toFixed(2)} s`;
}

function memoryFigure(peaks: readonly [string, number][], detail: string): Figure {
  const row = {
    measure: 'archive-memory',
    title: 'the most memory that backup, restore or verify adds to a process, beyond the tree',
    unit: 'MiB',
    detail,
  };
  if (peaks.length === 0) return { ...row, value: Number.NaN };
  return { ...row, value: Math.max(...peaks.map(([, peak]) => peak)), floor: atMost(64, 32) };
}
