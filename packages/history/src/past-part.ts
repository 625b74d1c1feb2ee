import { type ExactPosition, type Path, PastTree, type PathSet, Turn, type Value } from '@evertree/core';
import { type ChangeIndex, IndexOutdated, type Touch } from './change-index.ts';
import { framesForward } from './frame-access.ts';
import type { HistoryView } from './history-view.ts';
import { readPastTree } from './past-reader.ts';
import { isAtOrAbove, isObject, pathsIn, setOfAll } from './paths.ts';
import { sortSteps } from './sort-steps.ts';

/** With more paths or more touches below them than this, reading the whole tree from snapshot and frames costs less. */
const MOST_PATHS = 1_000;
const MOST_TOUCHES = 100_000;

/** How often the index is asked again after it has become smaller. */
const MOST_TRIES = 3;

/** A path whose value was set at a revision; what was done below it since is not in it. */
interface KnownValue {
  readonly path: Path;
  readonly value: Value | undefined;
  readonly since: number;
}

/**
 * What stood at some paths at a position: by the index where that has them, else from snapshot and frames. Above the
 * paths the objects are there that were there; what is read of other parts means nothing.
 * @throws EvertreeError COMPACTED, HISTORY_MISMATCH, DAMAGED
 */
export async function readPart(view: HistoryView, position: ExactPosition, set: PathSet): Promise<PastTree> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const covered = view.covered();
    if (view.index === undefined || covered === undefined || position.revision <= covered.after) break;
    try {
      const part = await PartFromIndex.read(view, view.index, covered, position, set);
      view.assertStands();
      view.assertCovers(covered);
      if (part === undefined) break;
      return part;
    } catch (error) {
      if (!(error instanceof IndexOutdated)) throw error;
    }
  }
  return readPastTree(view, position, set);
}

class PartFromIndex {
  readonly #view: HistoryView;
  readonly #index: ChangeIndex;
  /** The index answers for the revisions after this. */
  readonly #after: number;
  /** The revision up to which the index is asked. */
  readonly #upTo: number;
  readonly #tree: PastTree;
  readonly #turn: Turn;

  private constructor(view: HistoryView, index: ChangeIndex, range: { readonly after: number; readonly upTo: number }, set: PathSet) {
    this.#view = view;
    this.#index = index;
    this.#after = range.after;
    this.#upTo = range.upTo;
    this.#tree = new PastTree(set);
    this.#turn = new Turn(view.clock);
  }

  /** @returns undefined if the whole tree is to be read instead */
  static async read(
    view: HistoryView,
    index: ChangeIndex,
    { after, upTo }: { readonly after: number; readonly upTo: number },
    position: ExactPosition,
    set: PathSet,
  ): Promise<PastTree | undefined> {
    const part = new PartFromIndex(view, index, { after, upTo: Math.min(upTo, position.revision) }, set);
    const paths: Path[] = [];
    for (const path of pathsIn(set)) if (paths.push(path) > MOST_PATHS) break;
    const known = (await part.#isCheap(paths)) ? await part.#valuesAt(paths) : undefined;
    if (known === undefined) return undefined;
    await part.#addChangesBelow(known);
    await part.#addAbove(known);
    return (await part.#addFrames(position.revision)) ? part.#tree : undefined;
  }

  async #isCheap(paths: readonly Path[]): Promise<boolean> {
    if (paths.length > MOST_PATHS) return false;
    let touches = 0;
    for (const path of paths) {
      touches += await this.#index.weight(path);
      if (touches > MOST_TOUCHES) return false;
    }
    return true;
  }

  /** The newest values that the paths got as a whole; undefined if they are not to be had here. */
  async #valuesAt(paths: readonly Path[]): Promise<readonly KnownValue[] | undefined> {
    const known: KnownValue[] = [];
    const unknown: Path[] = [];
    for (const path of paths) {
      const touch = await this.#index.newest(path, this.#upTo);
      if (touch !== undefined) known.push({ path, value: await this.#valueOf(touch, path), since: touch.revision });
      else if (this.#after === 0) known.push({ path, value: undefined, since: 0 });
      else unknown.push(path);
    }
    if (unknown.length > 0) {
      const old = await this.#oldValues(unknown);
      if (old === undefined) return undefined;
      known.push(...old);
    }
    for (const { path, value } of known) if (value !== undefined) await this.#put(path, value);
    return known;
  }

  async #valueOf(touch: Touch, path: Path): Promise<Value | undefined> {
    return touch.kind === 'delete' ? undefined : this.#index.valueAt(touch, path);
  }

  /** What nothing has touched since before the index is as the newest snapshot within it has it. */
  async #oldValues(paths: readonly Path[]): Promise<readonly KnownValue[] | undefined> {
    const snapshot = await this.#view.journal.snapshots.newest(this.#view.exact(this.#upTo));
    const since = snapshot?.header.position.revision ?? 0;
    if (snapshot === undefined || since < this.#after) return undefined;
    const tree = await readPastTree(this.#view, snapshot.header.position, setOfAll(paths));
    return paths.map(path => ({ path, value: tree.get(path), since }));
  }

  /** What was done below the paths since their values were set: of each path only the newest counts. */
  async #addChangesBelow(known: readonly KnownValue[]): Promise<void> {
    const touches: Touch[] = [];
    for (const { path, value, since } of known) {
      if (value !== undefined && !isObject(value)) continue;
      // A path comes before what is below it: here are the touches at and above the one that comes.
      const above: Touch[] = [];
      for await (const some of this.#index.newestBelow(path, this.#upTo)) {
        await this.#turn.breathe();
        for (const touch of some) {
          if (touch.revision <= since || touch.path.length <= path.length) continue;
          while (above.length > 0 && !isAtOrAbove(above.at(-1)!.path, touch.path)) above.pop();
          // What a later operation above it took away: what stood there meanwhile is not known.
          const isReplaced = above.some(({ revision }) => revision > touch.revision);
          above.push(touch);
          if (!isReplaced) touches.push(touch);
        }
      }
    }
    const inOrder = await this.#turn.run(sortSteps(touches, (a, b) => a.revision - b.revision || a.operation - b.operation));
    for await (const change of this.#index.read(inOrder)) {
      for (const { touch, value } of change.touches) {
        await this.#add(touch, value);
        if (this.#turn.over) await this.#turn.rest();
      }
    }
  }

  /** A value may be large. */
  async #put(path: Path, value: Value): Promise<void> {
    for (const _ of this.#tree.applyInSteps({ type: 'put', path, value })) await this.#turn.breathe();
  }

  async #add({ path }: Touch, value: Value | undefined): Promise<void> {
    if (value !== undefined) return this.#put(path, value);
    // What was deleted stood in an object, which may have been made by a put of it.
    const above = path.slice(0, -1);
    if (!this.#tree.hasObject(above)) this.#tree.apply({ type: 'put', path: above, value: {} });
    this.#tree.apply({ type: 'delete', path });
  }

  /** The objects above paths where nothing stands: an object may have been there nevertheless. */
  async #addAbove(known: readonly KnownValue[]): Promise<void> {
    for (const { path } of known) {
      if (this.#tree.has(path)) continue;
      for (let length = path.length - 1; length > 0; length--) {
        const above = path.slice(0, length);
        if (this.#tree.hasObject(above)) break;
        if (!(await this.#hadObject(above))) continue;
        this.#tree.apply({ type: 'put', path: above, value: {} });
        break;
      }
    }
  }

  /** Whether an object stood at a path. */
  async #hadObject(path: Path): Promise<boolean> {
    const touch = await this.#index.newest(path, this.#upTo);
    const value = touch === undefined ? undefined : await this.#valueOf(touch, path);
    if (value !== undefined) return isObject(value);
    // Whatever was done below it since was done in an object.
    for await (const _ of this.#index.touches(path, { after: touch?.revision ?? this.#after, upTo: this.#upTo })) return true;
    if (touch !== undefined || this.#after === 0) return false;
    const [old] = (await this.#oldValues([path])) ?? [];
    if (old === undefined) throw new IndexOutdated('the snapshot that the index goes on from is not here any more');
    return isObject(old.value);
  }

  /**
   * What the index does not have yet.
   * @returns false if the index ends in the middle of a frame, so that this can't be told apart
   */
  async #addFrames(upTo: number): Promise<boolean> {
    for await (const frame of framesForward(this.#view, this.#upTo, upTo)) {
      if (frame.header.base.revision < this.#upTo) return false;
      for (const _ of this.#tree.makeChanges(frame, upTo)) await this.#turn.breathe();
      await this.#turn.breathe();
    }
    return true;
  }
}
