import type { Path, Turn } from '@evertree/core';
import type { Touch } from '../change-index.ts';
import { rowsBackward } from './frame-rows.ts';
import { touchesInSteps } from './frame-touches.ts';
import { pathOf, segmentsOf } from './path-key.ts';
import { PathTable } from './path-table.ts';
import { UnsoundRun } from './run-format.ts';
import type { RunFile } from './run-file.ts';
import type { SegmentFiles } from './segment-files.ts';
import { STEP_ITEMS } from '../step.ts';

/** Paths that are kept while frames are read; then it begins anew. */
const PATHS_LIMIT = 65_536;

/**
 * The touches of a path, of those above it and of those below it, newest first, from the frames of a run: for a path that
 * much of the run concerns.
 * @throws UnsoundRun
 */
export async function* touchesBackward(
  run: RunFile,
  key: Buffer,
  { after, upTo }: { readonly after: number; readonly upTo: number },
  { files, turn }: { readonly files: SegmentFiles; readonly turn: Turn },
): AsyncGenerator<readonly Touch[], void, undefined> {
  let concerned = new ConcernedPaths(key);
  for await (const row of rowsBackward(run, { after, upTo })) {
    const segment = run.description.segments[row.segment]!;
    const frame = await files.frame(segment, row.offset, row.length);
    if (frame === undefined || frame.header.base.revision !== row.base) {
      throw new UnsoundRun(run.path, `${segment.name} does not hold at offset ${row.offset} what it says`);
    }
    if (concerned.table.count > PATHS_LIMIT) concerned = new ConcernedPaths(key);
    const { table } = concerned;
    const found: Touch[] = [];
    const steps = touchesInSteps(frame, table, (number, revision, operation, isDelete) => {
      if (revision <= after || revision > upTo || !concerned.has(number)) return;
      found.push({ revision, operation, kind: isDelete ? 'delete' : 'put', path: concerned.path(number) });
    });
    await turn.run(steps);
    for (let end = found.length; end > 0; end -= STEP_ITEMS) {
      yield found.slice(Math.max(0, end - STEP_ITEMS), end).toReversed();
      await turn.breathe();
    }
  }
}

/** Which paths of a table are a path, above it or below it. */
class ConcernedPaths {
  readonly table = new PathTable();
  /** Of the path and of all above it. */
  readonly #above = new Set<number>([0]);
  readonly #own: number;
  /** By number: whether a path is at or below the path. */
  readonly #isBelow: boolean[] = [];
  readonly #paths: Path[] = [];

  constructor(key: Buffer) {
    let number = 0;
    for (const bytes of segmentsOf(key)) {
      number = this.table.child(number, this.table.segments.number(bytes, 0, bytes.length));
      this.#above.add(number);
    }
    this.#own = number;
  }

  has(number: number): boolean {
    if (this.#above.has(number)) return true;
    // A path is numbered after the one above it.
    for (let next = this.#isBelow.length; next <= number; next++) {
      this.#isBelow.push(next === this.#own || (next > 0 && this.#isBelow[this.table.parentOf(next)]!));
    }
    return this.#isBelow[number]!;
  }

  path(number: number): Path {
    if (number === 0) return [];
    return (this.#paths[number] ??= [...this.path(this.table.parentOf(number)), ...pathOf(this.table.partOf(number))]);
  }
}
