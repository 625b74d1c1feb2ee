import type { Clock, Path, Value } from '@evertree/core';
import { Turn } from '@evertree/core';
import { type FoundChange, IndexOutdated, type Touch } from '../change-index.ts';
import { ChangeReader } from './change-reader.ts';
import type { SegmentFiles } from './segment-files.ts';
import { compareKeys, isWithin, pathOf, prefixEnds } from './path-key.ts';
import type { RunFile } from './run-file.ts';
import { shareBelow, newestOf, TouchCursor } from './touch-cursor.ts';
import { touchesBackward } from './frame-walk.ts';
import { NewestTouches } from './newest-touches.ts';
import { STEP_ITEMS } from '../step.ts';

/** How many touches a first look gathers, and at most; each look gathers so many times as many as the one before. */
const FIRST_LOOK = 256;
const LARGEST_LOOK = 65_536;
const LOOK_GROWTH = 8;
/** Change sets that are read ahead of the reader, and how many at once. */
const WINDOW = 64;
const READERS = 4;
/** A path is dense in a run of more operations than this if one in so many of them is at or below it. */
const DENSE_LEAST = 16_384;
const DENSE_SHARE = 4;

/** Answers one question from some runs, which each go on where the one before ends. */
export class RunQuestions {
  readonly #runs: readonly RunFile[];
  /** Touches up to this revision are not told. */
  readonly #after: number;
  readonly #upTo: number;
  readonly #turn: Turn;

  constructor(runs: readonly RunFile[], after: number, clock: Clock) {
    this.#runs = runs;
    this.#after = after;
    this.#upTo = runs.at(-1)?.upTo ?? after;
    this.#turn = new Turn(clock);
  }

  async newest(key: Buffer, atOrBefore: number): Promise<Touch | undefined> {
    const ends = prefixEnds(key);
    for (const run of this.#runs.toReversed()) {
      if (run.after >= atOrBefore) continue;
      let found: Touch | undefined;
      for (const [depth, end] of ends.entries()) {
        if (!hasDepth(run, depth)) continue;
        const posting = await newestOf(run, key, end, atOrBefore);
        if (posting === undefined || posting.revision <= this.#after || posting.revision < (found?.revision ?? 0)) continue;
        found = touchOf(posting.revision, posting.operation, posting.isDelete, key.subarray(0, end));
      }
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async *newestBelow(key: Buffer, atOrBefore: number): AsyncGenerator<readonly Touch[], void, undefined> {
    const cursors: TouchCursor[] = [];
    for (const run of this.#runs) {
      if (run.after >= atOrBefore) continue;
      const cursor = new TouchCursor(run);
      await cursor.seek(key, key.length, 0);
      if (await this.#into(cursor, key)) cursors.push(cursor);
    }
    let told: Touch[] = [];
    for (let entries = 1; cursors.length > 0; entries++) {
      const path = leastKey(cursors);
      let found: Touch | undefined;
      // The oldest run first, so that a later touch replaces an earlier one.
      for (const cursor of cursors.slice()) {
        while (cursor.compare(path, path.length) === 0) {
          const posting = cursor.newest(atOrBefore);
          if (posting !== undefined && posting.revision > this.#after) {
            found = touchOf(posting.revision, posting.operation, posting.isDelete, path);
          }
          if (cursor.next() ? standsIn(cursor, key) : await this.#into(cursor, key)) continue;
          cursors.splice(cursors.indexOf(cursor), 1);
          break;
        }
      }
      if (found !== undefined && told.push(found) === STEP_ITEMS) {
        yield told;
        told = [];
      }
      if (entries % STEP_ITEMS === 0) await this.#turn.breathe();
    }
    if (told.length > 0) yield told;
  }

  async *touches(
    key: Buffer,
    range: { readonly after: number; readonly upTo: number },
    files: SegmentFiles,
  ): AsyncGenerator<readonly Touch[], void, undefined> {
    const { after } = range;
    if (after < range.upTo && (after < this.#after || range.upTo > this.#upTo)) {
      throw new IndexOutdated(`the index covers the revisions after ${this.#after} up to ${this.#upTo} only`);
    }
    let look = FIRST_LOOK;
    for (const run of this.#runs.toReversed()) {
      if (run.after >= range.upTo) continue;
      if (run.upTo <= after) return;
      if (await this.#isDense(run, key)) {
        yield* touchesBackward(run, key, { after, upTo: Math.min(range.upTo, run.upTo) }, { files, turn: this.#turn });
        continue;
      }
      for (let upTo = range.upTo; ;) {
        const newest = new NewestTouches(look, { after, upTo });
        await this.#gather(run, key, newest);
        const { touches, isComplete } = await this.#turn.run(newest.take());
        for (let from = 0; from < touches.length; from += STEP_ITEMS) {
          yield touches.slice(from, from + STEP_ITEMS);
          await this.#turn.breathe();
        }
        if (isComplete) break;
        // A change set that is more than a look takes has to be gathered whole.
        look = touches.length === 0 ? look * LOOK_GROWTH : Math.max(look, Math.min(look * LOOK_GROWTH, LARGEST_LOOK));
        ({ missing: upTo } = newest);
      }
    }
  }

  /** An upper bound of how many entries lie at and below a path. */
  async weight(key: Buffer): Promise<number> {
    let weight = 0;
    for (const run of this.#runs) weight += (await shareBelow(run, key)).entries;
    return weight;
  }

  timeOf(revision: number, files: SegmentFiles): Promise<number> {
    return new ChangeReader(files, this.#turn).timeOf(this.#covering(revision), revision);
  }

  valueAt(touch: Touch, path: Path, files: SegmentFiles): Promise<Value | undefined> {
    return new ChangeReader(files, this.#turn).valueAt(this.#covering(touch.revision), touch, path.slice(touch.path.length));
  }

  async *read(touches: readonly Touch[], files: SegmentFiles): AsyncGenerator<FoundChange, void, undefined> {
    const changes = await this.#turn.run(byRevision(touches));
    const readers = Array.from({ length: Math.min(READERS, changes.length) }, () => new ChangeReader(files, this.#turn));
    for (let from = 0; from < changes.length; from += WINDOW) {
      const window = changes.slice(from, from + WINDOW);
      const share = Math.ceil(window.length / readers.length);
      // Neighbours are often in one chunk: each reader takes a stretch.
      const stretches = readers.map((reader, index) => this.#readAll(window.slice(index * share, (index + 1) * share), reader));
      yield* (await Promise.all(stretches)).flat();
      await this.#turn.breathe();
    }
  }

  async #readAll(changes: readonly (readonly Touch[])[], reader: ChangeReader): Promise<FoundChange[]> {
    const found: FoundChange[] = [];
    for (const touches of changes) found.push(await reader.read(this.#covering(touches[0]!.revision), touches));
    return found;
  }

  #covering(revision: number): RunFile {
    const run = revision <= this.#after ? undefined : this.#runs.find(({ after, upTo }) => after < revision && revision <= upTo);
    if (run === undefined) throw new IndexOutdated(`the index does not cover the revision ${revision}`);
    return run;
  }

  /** Whether so much of a run concerns a path that its newest touches are found sooner by reading frames backward. */
  async #isDense(run: RunFile, key: Buffer): Promise<boolean> {
    const total = run.description.depths.reduce((sum, count) => sum + count, 0);
    return total > DENSE_LEAST && (await shareBelow(run, key)).postings * DENSE_SHARE > total;
  }

  async #gather(run: RunFile, key: Buffer, into: NewestTouches): Promise<void> {
    for (const [depth, end] of prefixEnds(key).entries()) if (hasDepth(run, depth)) await gatherPath(run, key.subarray(0, end), into);
    const cursor = new TouchCursor(run);
    await cursor.seek(key, key.length, Number.MAX_SAFE_INTEGER);
    let entries = 0;
    // Nothing is awaited within a leaf: a promise for each entry is more garbage than the entry.
    for (let isIn = await this.#into(cursor, key); isIn; isIn = cursor.next() ? standsIn(cursor, key) : await this.#into(cursor, key)) {
      if (cursor.keyLength > key.length) into.addAll(cursor);
      if (into.isOverfull) await this.#turn.run(into.shorten());
      if (++entries % STEP_ITEMS === 0) await this.#turn.breathe();
    }
  }

  /** Moves a cursor on to the next entry at or below a path, in whichever leaf it is. @returns whether there is one */
  async #into(cursor: TouchCursor, key: Buffer): Promise<boolean> {
    do if (!(await cursor.advance())) return false;
    while (cursor.compare(key, key.length) < 0);
    return standsIn(cursor, key);
  }
}

/** Whether the entry at which a cursor stands is at or below a path. */
function standsIn(cursor: TouchCursor, key: Buffer): boolean {
  return isWithin(cursor.key, cursor.keyLength, key);
}

/** Gathers the touches of exactly one path, the newest entry first, until there are enough. */
async function gatherPath(run: RunFile, key: Buffer, into: NewestTouches): Promise<void> {
  const { after } = into;
  let { upTo } = into;
  for (let gathered = 0; gathered < into.limit;) {
    const cursor = new TouchCursor(run);
    await cursor.seek(key, key.length, upTo);
    const first = cursor.toEntry(key, key.length, upTo);
    if (first === undefined) return;
    gathered += into.addAll(cursor);
    upTo = first - 1;
    if (upTo <= after) return;
  }
  into.missesBefore(upTo);
}

/** Touches by their change sets, in steps. */
function* byRevision(touches: readonly Touch[]): Generator<void, (readonly Touch[])[]> {
  const changes: Touch[][] = [];
  let revision = -1;
  let last: Touch[] = [];
  for (const [index, touch] of touches.entries()) {
    if (touch.revision !== revision) changes.push((last = []));
    ({ revision } = touch);
    last.push(touch);
    if (index % STEP_ITEMS === STEP_ITEMS - 1) yield;
  }
  return changes;
}

function hasDepth(run: RunFile, depth: number): boolean {
  return (run.description.depths[depth] ?? 0) > 0;
}

function leastKey(cursors: readonly TouchCursor[]): Buffer {
  let least = cursors[0]!;
  for (const cursor of cursors) if (compareKeys(cursor.key, cursor.keyLength, least.key, least.keyLength) < 0) least = cursor;
  return Buffer.from(least.key.subarray(0, least.keyLength));
}

function touchOf(revision: number, operation: number, isDelete: boolean, key: Buffer): Touch {
  return { revision, operation, kind: isDelete ? 'delete' : 'put', path: pathOf(key) };
}
