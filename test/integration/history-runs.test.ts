import { ORIGIN, type ExactPosition, type Path } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { BlockCache } from '../../packages/history/src/index/block-cache.ts';
import { rowHolding, rowsOf } from '../../packages/history/src/index/frame-rows.ts';
import { compareKeys, isWithin, pathKey, pathOf } from '../../packages/history/src/index/path-key.ts';
import { RunFile } from '../../packages/history/src/index/run-file.ts';
import { runPath } from '../../packages/history/src/index/run-format.ts';
import { mergeRuns } from '../../packages/history/src/index/run-merge.ts';
import { type Chunk, type FrameRow, RunWriter } from '../../packages/history/src/index/run-writer.ts';
import { newestOf, shareBelow, TouchCursor } from '../../packages/history/src/index/touch-cursor.ts';
import { proveIndex } from '@evertree/history';
import { FaultDisk } from '../support/fault-disk.ts';
import { openIndex } from '../support/index-oracle.ts';
import { comparePaths, isAtOrBelow, RandomHistory } from '../support/random-history.ts';
import { diskStore } from '../support/stores.ts';

const STREAM = '5a'.repeat(16);

function at(revision: number): ExactPosition {
  return revision === 0 ? ORIGIN : { epoch: 1, epochId: 'a'.repeat(16), revision };
}

interface Posting {
  readonly revision: number;
  readonly operation: number;
  readonly isDelete: boolean;
}

interface Content {
  readonly from: number;
  readonly to: number;
  readonly paths: readonly { readonly path: Path; readonly postings: readonly Posting[] }[];
  readonly rows: readonly FrameRow[];
}

/** Writes what lies in a range of revisions as a run. */
async function write(disk: FaultDisk, { from, to, paths, rows }: Content): Promise<string> {
  const path = runPath(at(from), at(to));
  await disk.makeDirectory('index');
  const file = await disk.open(path, { create: true, write: true });
  const rowsIn = rows.filter(({ base }) => base >= from && base < to);
  const segments = [{ name: 'one.evj', salt: 7, base: 0, offset: rowsIn[0]!.offset }];
  const range = { stream: STREAM, generation: 0, base: at(from), segments, epochs: [{ after: from, number: 1 }] };
  const writer = new RunWriter(file, range);
  for (const each of paths) {
    const postings = each.postings.filter(({ revision }) => revision > from && revision <= to);
    if (postings.length === 0) continue;
    const key = pathKey(each.path);
    writer.path(key, key.length);
    for (const { revision, operation, isDelete } of postings) writer.posting(revision, operation, isDelete);
  }
  for (const row of rowsIn) writer.frame(row);
  await writer.finish(at(to));
  await file.close();
  return path;
}

function chunk(time: number, skipped: number): Chunk {
  return { begun: 1, skipped, left: skipped * 2, bytes: 9, time, checksum: 0xffff_fff0 };
}

/** Many paths in several heights of blocks, and one that is touched all the time. */
function large(): Content {
  const history = new RandomHistory(31);
  const revisions = 60_000;
  const byPath = new Map<string, { path: Path; postings: Posting[] }>();
  const add = (path: Path, posting: Posting) => {
    const name = JSON.stringify(path);
    const known = byPath.get(name) ?? { path, postings: [] };
    byPath.set(name, known);
    known.postings.push(posting);
  };
  for (let revision = 1; revision <= revisions; revision++) {
    const isDelete = history.below(9) === 0;
    const operation = history.below(3) === 0 ? history.below(100_000) : 0;
    if (history.below(4) === 0) add(['hot'], { revision, operation, isDelete });
    else add(['devices', `dev-${history.below(300)}`, history.key(), `field ${history.below(9)}`], { revision, operation, isDelete });
  }
  const rows: FrameRow[] = [];
  for (let base = 0, offset = 64; base < revisions;) {
    const count = Math.min(1 + history.below(6), revisions - base);
    const chunks = history.below(5) === 0 ? [chunk(1_700_000_000_000 + base, 0), chunk(1_700_000_000_003 + base, 4)] : [];
    const row = { base, count, segment: 0, offset, length: 200 + history.below(5_000), chunks };
    rows.push(row);
    base += count;
    offset += row.length;
  }
  const paths = [...byPath.values()].toSorted((a, b) => comparePaths(a.path, b.path));
  return { from: 0, to: revisions, paths, rows };
}

describe('the key of a path', () => {
  const history = new RandomHistory(33);
  const paths = [[], ...Array.from({ length: 300 }, () => history.path())];

  it('gives the path back', () => {
    for (const path of paths) expect(pathOf(pathKey(path))).toEqual(path);
  });

  it('of a path with a lone surrogate is that of no path in a tree', () => {
    expect(pathKey(['a', '\ud800'])).not.toEqual(pathKey(['a', '\ufffd']));
    expect(isWithin(pathKey(['a', '\ud800']), pathKey(['a', '\ud800']).length, pathKey(['a']))).toBe(true);
  });

  it('sorts as the path does, and begins with the keys of those above', () => {
    for (const a of paths) {
      for (const b of paths.slice(0, 40)) {
        const [keyA, keyB] = [pathKey(a), pathKey(b)];
        expect(Math.sign(compareKeys(keyA, keyA.length, keyB, keyB.length))).toBe(Math.sign(comparePaths(a, b)));
        expect(isWithin(keyA, keyA.length, keyB)).toBe(isAtOrBelow(a, b));
      }
    }
  });
});

describe('a run of many blocks', () => {
  const content = large();

  it('finds each path at each moment, and counts what is below one', async () => {
    const disk = new FaultDisk();
    const cache = new BlockCache(64 * 1024);
    const run = await RunFile.open(disk, await write(disk, content), { cache: cache.part() });
    const history = new RandomHistory(35);
    for (let look = 0; look < 400; look++) {
      const { path, postings } = look % 8 === 0 ? content.paths.at(-1)! : history.pick(content.paths);
      const moment = history.below(content.to + 10);
      const key = pathKey(path);
      const expected = postings.findLast(({ revision }) => revision <= moment);
      expect(await newestOf(run, key, key.length, moment)).toEqual(expected);
      const missing = pathKey([...path, 'x']);
      expect(await newestOf(run, missing, missing.length, moment)).toBeUndefined();
      expect(cache.bytes).toBeLessThanOrEqual(64 * 1024);
    }
    const below = content.paths.filter(({ path }) => isAtOrBelow(path, ['devices', 'dev-7']));
    const { entries: bound, postings } = await shareBelow(run, pathKey(['devices', 'dev-7']));
    expect(bound).toBeGreaterThanOrEqual(below.length);
    expect(postings).toBeGreaterThanOrEqual(below.reduce((sum, each) => sum + each.postings.length, 0));
    // What shares blocks with them is counted, too.
    expect(bound).toBeLessThan(below.length + 1_000);
    expect((await shareBelow(run, pathKey([]))).entries).toBeGreaterThanOrEqual(content.paths.length);
    expect((await shareBelow(run, pathKey([]))).postings).toBe(content.to);
    expect((await shareBelow(run, pathKey(['devices', 'dev-7 missing']))).entries).toBeLessThan(1_000);
    await run.retire();
    expect(cache.bytes).toBe(0);
  });

  it('tells everything in order, and each frame', async () => {
    const disk = new FaultDisk();
    const run = await RunFile.open(disk, await write(disk, content));
    const told = new Map<string, Posting[]>();
    const cursor = new TouchCursor(run);
    while (await cursor.advance()) {
      const name = JSON.stringify(pathOf(cursor.key.subarray(0, cursor.keyLength)));
      const postings = told.get(name) ?? [];
      told.set(name, postings);
      cursor.forEach((revision, operation, isDelete) => postings.push({ revision, operation, isDelete }));
    }
    expect([...told.keys()]).toEqual(content.paths.map(({ path }) => JSON.stringify(path)));
    for (const { path, postings } of content.paths) expect(told.get(JSON.stringify(path))).toEqual(postings);
    expect(await Array.fromAsync(rowsOf(run))).toEqual(content.rows);
    const history = new RandomHistory(37);
    for (let look = 0; look < 200; look++) {
      const row = history.pick(content.rows);
      expect(await rowHolding(run, row.base + 1 + history.below(row.count))).toEqual(row);
    }
    expect(await rowHolding(run, content.to + 1)).toBeUndefined();
    await run.retire();
  });

  it('has the same bytes when it is merged from parts', async () => {
    const disk = new FaultDisk();
    const whole = disk.bytes(await write(disk, content));
    const ends = [0, 3, 5_000, 5_001, 20_000, content.to].map(end => content.rows.find(({ base }) => base >= end)?.base ?? content.to);
    const parts: RunFile[] = [];
    for (const [index, from] of ends.slice(0, -1).entries()) {
      parts.push(await RunFile.open(disk, await write(disk, { ...content, from, to: ends[index + 1]! })));
    }
    const file = await disk.open('merged', { create: true, write: true });
    await mergeRuns(parts, file, () => undefined);
    expect(disk.bytes('merged').equals(whole)).toBe(true);
  });
});

describe('the proof of a run', () => {
  it('finds a touch that is missing, told twice or of another kind, and a frame of another length or parts, behind right checksums', async () => {
    const history = new RandomHistory(43);
    const disk = new FaultDisk();
    await using store = (await diskStore(disk)).store;
    for (let commits = 80; commits > 0; commits--) history.commit(store);
    await store.flush();
    const { index } = openIndex(disk, store);
    await index.caughtUp();
    const [path] = index.files;
    await index.close();
    const run = await RunFile.open(disk, path!);
    const { base, last } = run.description;
    const sound = disk.bytes(path!);
    const wrongs: Wrong[] = [
      {},
      { posting: () => [] },
      { posting: posting => [posting, posting] },
      { posting: posting => [{ ...posting, isDelete: !posting.isDelete }] },
      { posting: posting => [{ ...posting, operation: posting.operation + 1 }] },
      { row: row => ({ ...row, length: row.length + 1 }) },
      { row: row => ({ ...row, chunks: [chunk(1, 0), chunk(2, 3)] }) },
    ];
    for (const [number, wrong] of wrongs.entries()) {
      await rewrite(disk, run, path!, wrong);
      const [proven] = await Array.fromAsync(proveIndex(disk, { base, last }));
      expect(proven!.file).toBe(path);
      expect(proven!.problem === undefined, `${number}: ${proven!.problem}`).toBe(number === 0);
      if (number === 0) expect(disk.bytes(path!).equals(sound)).toBe(true);
      disk.overwrite(path!, () => sound);
    }
    await run.retire();
  });
});

/** What is wrong in the middle of a run. */
interface Wrong {
  readonly posting?: (posting: Posting) => Posting[];
  readonly row?: (row: FrameRow) => FrameRow;
}

/** Writes a run anew, with something wrong. */
async function rewrite(disk: FaultDisk, run: RunFile, path: string, wrong: Wrong): Promise<void> {
  const { last, depths: _, touches: _touches, frames: _frames, ...range } = run.description;
  const copy = await disk.open('copy', { create: true, write: true });
  await copy.truncate(0);
  const writer = new RunWriter(copy, range);
  const cursor = new TouchCursor(run);
  for (let entry = 0; await cursor.advance(); entry++) {
    if (entry === 0 || !writer.isPath(cursor.key, cursor.keyLength)) writer.path(cursor.key, cursor.keyLength);
    cursor.forEach((revision, operation, isDelete) => {
      const posting = { revision, operation, isDelete };
      const told = entry === 7 && wrong.posting !== undefined ? wrong.posting(posting) : [posting];
      for (const each of told) writer.posting(each.revision, each.operation, each.isDelete);
    });
  }
  const rows = await Array.fromAsync(rowsOf(run));
  for (const [number, row] of rows.entries()) writer.frame(number === rows.length - 1 && wrong.row !== undefined ? wrong.row(row) : row);
  await writer.finish(last);
  await copy.close();
  disk.overwrite(path, () => disk.bytes('copy'));
}
