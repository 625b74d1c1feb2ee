import type { Disk, ExactPosition } from '@evertree/core';
import { samePosition } from '@evertree/core';
import { eachTouch } from './frame-touches.ts';
import { leavesOf, rowsOf } from './frame-rows.ts';
import { compareKeys, depthOf } from './path-key.ts';
import { PathTable } from './path-table.ts';
import { RunFile } from './run-file.ts';
import { type RunDescription, UnsoundRun } from './run-format.ts';
import { listRuns } from './run-list.ts';
import type { Chunk, FrameRow } from './run-writer.ts';
import { framesAfter, type IndexedSegment, listSegments, type SegmentFrame } from './segment-frames.ts';
import { TouchCursor } from './touch-cursor.ts';

/** Paths that are kept while frames are read; then it begins anew. */
const PATHS_LIMIT = 1_048_576;

/** What became of one file of an index. */
export interface ProvenRun {
  readonly file: string;
  /** Operations that it tells, and that its frames have as well. */
  readonly operations: number;
  /** Undefined where it tells exactly what its frames tell. */
  readonly problem: string | undefined;
}

/**
 * Compares each file of an index with the frames that it is about: every block is read and checked, and what it tells has
 * to be what the frames tell, touch by touch. Runs that lie before the history's base tell of frames that are gone; they
 * are left out. Changes nothing.
 * @param range the history: runs that reach beyond its end are of no use, and are left out
 * @param options `checksumsOnly`: blocks are read and checked, and compared with no frame
 */
export async function* proveIndex(
  disk: Pick<Disk, 'open' | 'list'>,
  range: { readonly base: ExactPosition; readonly last: ExactPosition },
  { checksumsOnly = false }: { readonly checksumsOnly?: boolean } = {},
): AsyncGenerator<ProvenRun, void, undefined> {
  const { runs, unsound } = await listRuns(disk);
  for (const { file, problem } of unsound) yield { file, operations: 0, problem };
  const segments = checksumsOnly ? undefined : await listSegments(disk, []);
  for (const { path, description } of runs) {
    if (description.last.revision <= range.base.revision || description.last.revision > range.last.revision) continue;
    yield await proveRun(disk, path, segments, range.base);
  }
}

async function proveRun(
  disk: Pick<Disk, 'open'>,
  path: string,
  segments: readonly IndexedSegment[] | undefined,
  base: ExactPosition,
): Promise<ProvenRun> {
  try {
    const run = await RunFile.open(disk, path, { ahead: true });
    try {
      const operations = segments === undefined ? await checkBlocks(run) : await compareWithFrames(disk, run, segments, base);
      return { file: path, operations, problem: undefined };
    } finally {
      await run.retire();
    }
  } catch (error) {
    if (!(error instanceof UnsoundRun)) throw error;
    return { file: path, operations: 0, problem: error.problem };
  }
}

/** Reads every block, which checks it. @returns how many operations the run says that they tell */
async function checkBlocks(run: RunFile): Promise<number> {
  const { touches, frames, depths } = run.description;
  for (const root of [touches, frames]) for await (const _ of leavesOf(run, root));
  return depths.reduce((sum, count) => sum + count, 0);
}

async function compareWithFrames(
  disk: Pick<Disk, 'open'>,
  run: RunFile,
  segments: readonly IndexedSegment[],
  base: ExactPosition,
): Promise<number> {
  const { description, path } = run;
  const from = run.after < base.revision ? base : description.base;
  const told = await sumOfRun(run, from.revision);
  const rows = rowsOf(run);
  const found = new TouchSum();
  const hashes = new PathHashes();
  let position = from;
  for await (const placed of framesAfter(disk, segments, from, { fleeting: true })) {
    const { header } = placed.frame;
    if (header.last.revision > run.upTo) break;
    position = header.last;
    const chunks = eachTouch(placed.frame, hashes.table(), (number, revision, operation, isDelete) =>
      found.add(hashes.low(number), hashes.high(number), revision, operation, isDelete),
    );
    await compareRow(run, rows, placed, chunks);
  }
  if (!samePosition(position, description.last))
    throw new UnsoundRun(path, `the segments end at the revision ${position.revision} before it does`);
  if (!found.equals(told)) throw new UnsoundRun(path, `it tells ${told.count} operations, and its frames have ${found.count}, or others`);
  return found.count;
}

async function compareRow(
  run: RunFile,
  rows: AsyncIterator<FrameRow, void>,
  { frame, place }: SegmentFrame,
  chunks: readonly Chunk[],
): Promise<void> {
  const { header } = frame;
  let next = await rows.next();
  while (next.done !== true && next.value.base < header.base.revision) next = await rows.next();
  const row = next.done === true ? undefined : next.value;
  const isSame =
    row !== undefined &&
    row.base === header.base.revision &&
    row.count === header.count &&
    row.offset === place.offset &&
    row.length === place.length &&
    run.description.segments[row.segment]?.name === place.segment.name &&
    JSON.stringify(row.chunks) === JSON.stringify(chunks);
  if (!isSame) throw new UnsoundRun(run.path, `it says another place for the frame after the revision ${header.base.revision}`);
}

/** Reads all touches of a run, and holds that they are in order and counted. */
async function sumOfRun(run: RunFile, after: number): Promise<TouchSum> {
  const sum = new TouchSum();
  const cursor = new TouchCursor(run);
  const depths: number[] = [];
  let before: Buffer = Buffer.alloc(0);
  let newest = run.after;
  for (let isFirst = true; await cursor.advance(); isFirst = false) {
    const order = isFirst ? -1 : compareKeys(before, before.length, cursor.key, cursor.keyLength);
    if (order > 0) throw new UnsoundRun(run.path, 'its entries are not in order');
    if (order < 0) {
      before = Buffer.from(cursor.key.subarray(0, cursor.keyLength));
      newest = run.after;
    }
    const depth = depthOf(before, before.length);
    const low = hashOf(LOW, before);
    const high = hashOf(HIGH, before);
    cursor.forEach((revision, operation, isDelete) => {
      if (revision < newest || revision > run.upTo) throw new UnsoundRun(run.path, 'its revisions are not in order');
      newest = revision;
      depths[depth] = (depths[depth] ?? 0) + 1;
      if (revision > after) sum.add(low, high, revision, operation, isDelete);
    });
  }
  if (!sameDepths(run.description, depths)) throw new UnsoundRun(run.path, 'its description counts other operations than it has');
  return sum;
}

function sameDepths(description: RunDescription, depths: readonly number[]): boolean {
  return description.depths.length === depths.length && description.depths.every((count, depth) => count === (depths[depth] ?? 0));
}

/** A sum of touches that does not depend on their order: two of 32 bits, and their count. */
class TouchSum {
  count = 0;
  #low = 0;
  #high = 0;

  /** @param low and `high` two hashes of the path's key */
  add(low: number, high: number, revision: number, operation: number, isDelete: boolean): void {
    this.count++;
    const kind = operation * 2 + (isDelete ? 1 : 0);
    this.#low = (this.#low + mix(low, revision, kind)) | 0;
    this.#high = (this.#high + mix(high, revision, kind)) | 0;
  }

  equals(other: TouchSum): boolean {
    return this.count === other.count && this.#low === other.#low && this.#high === other.#high;
  }
}

function mix(hash: number, revision: number, kind: number): number {
  let mixed = Math.imul(hash ^ (revision | 0), 0x85eb_ca6b) ^ Math.floor(revision / 0x1_0000_0000);
  mixed = Math.imul(mixed ^ (mixed >>> 15) ^ kind, 0xc2b2_ae35);
  return Math.imul(mixed ^ (mixed >>> 13), 0x9e37_79b1);
}

/** Where the two hashes of a key begin. */
const LOW = 0x811c_9dc5;
const HIGH = 0x7ee3_623b;

function hashOf(start: number, key: Uint8Array): number {
  let hash = start;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x0100_0193) ^ (hash >>> 17);
  return hash;
}

/** The hashes of the keys of a table's paths. */
class PathHashes {
  #table = new PathTable();
  #low: number[] = [LOW];
  #high: number[] = [HIGH];

  /** For the next frame: a table that is not too large. */
  table(): PathTable {
    if (this.#table.count < PATHS_LIMIT) return this.#table;
    this.#low = [LOW];
    this.#high = [HIGH];
    return (this.#table = new PathTable());
  }

  low(path: number): number {
    this.#reach(path);
    return this.#low[path]!;
  }

  high(path: number): number {
    this.#reach(path);
    return this.#high[path]!;
  }

  /** A path is numbered after the one above it. */
  #reach(path: number): void {
    for (let next = this.#low.length; next <= path; next++) {
      const parent = this.#table.parentOf(next);
      const part = this.#table.partOf(next);
      this.#low.push(hashOf(this.#low[parent]!, part));
      this.#high.push(hashOf(this.#high[parent]!, part));
    }
  }
}
