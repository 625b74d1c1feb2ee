import type { Operation } from './change-set.ts';
import type { TreeNode } from './node.ts';
import type { Path } from './path.ts';
import type { Position } from './position.ts';
import { exportStanding, sameStanding, type Standing } from './standing.ts';
import { getFrom } from './tree.ts';
import type { Value } from './value.ts';

/**
 * - `write`: it was not there before, or was replaced, at this path or above.
 * - `subtree-modified`: something below it changed.
 * - `delete`: it is gone; in an initial batch, it is not there.
 */
export type ChangeType = 'write' | 'delete' | 'subtree-modified';

/** What became of one place that a listener watches. */
export interface Modification {
  readonly path: string;
  readonly segments: Path;
  readonly type: ChangeType;
  /** Values are built when they are read; undefined where nothing stood. */
  readonly before: Value | undefined;
  readonly after: Value | undefined;
  /** The commit's operations at, above or below this path; undefined where more than OPERATIONS_LIMIT were merged, and in an initial batch. */
  readonly operations: readonly Operation[] | undefined;
}

export interface Batch {
  /** Whether this is the first one: the present state at registration. */
  readonly initial: boolean;
  /** The position before it; that of the previous batch, where there was one and nothing between them concerned the listener. */
  readonly from: Position;
  readonly position: Position;
  /** Commit time of `position`, milliseconds since 1970. */
  readonly time: number;
  readonly changes: readonly Modification[];
  /** How many commits it tells of: 1, or more where a listener fell behind; 0 for an initial one. */
  readonly merged: number;
}

/** Operations that a modification carries at the most. */
const OPERATIONS_LIMIT = 10_000;

/** A place of which a batch tells, before its values are looked at. */
export interface Touched {
  readonly segments: Path;
  /** An operation was at the place or above it. */
  readonly replaced: boolean;
  readonly operations: readonly Operation[] | undefined;
}

/** A batch on pinned roots: `changes` is made when it is asked for. */
export class PinnedBatch implements Batch {
  readonly initial: boolean;
  readonly from: Position;
  readonly position: Position;
  readonly time: number;
  readonly merged: number;
  /** Undefined in an initial batch: nothing was there for the listener. */
  readonly #before: TreeNode | undefined;
  readonly #after: TreeNode;
  /** By pointer. */
  readonly #touched: ReadonlyMap<string, Touched>;
  #changes: readonly Modification[] | undefined;

  constructor(
    step: {
      readonly initial: boolean;
      readonly from: Position;
      readonly position: Position;
      readonly time: number;
      readonly merged: number;
    },
    before: TreeNode | undefined,
    after: TreeNode,
    touched: ReadonlyMap<string, Touched>,
  ) {
    this.initial = step.initial;
    this.from = step.from;
    this.position = step.position;
    this.time = step.time;
    this.merged = step.merged;
    this.#before = before;
    this.#after = after;
    this.#touched = touched;
  }

  get changes(): readonly Modification[] {
    return (this.#changes ??= this.#makeChanges());
  }

  /** One batch of several that follow each other: before of the first, after of the last. */
  static merge(batches: readonly PinnedBatch[]): PinnedBatch {
    const first = batches[0]!;
    const last = batches.at(-1)!;
    const touched = new Map<string, Touched>();
    for (const batch of batches) for (const [pointer, item] of batch.#touched) touched.set(pointer, joined(touched.get(pointer), item));
    const merged = batches.reduce((sum, batch) => sum + batch.merged, 0);
    const { position, time } = last;
    return new PinnedBatch({ initial: first.initial, from: first.from, position, time, merged }, first.#before, last.#after, touched);
  }

  #makeChanges(): readonly Modification[] {
    const changes: Modification[] = [];
    for (const [pointer, { segments, replaced, operations }] of this.#touched) {
      const before = this.#before === undefined ? undefined : getFrom(this.#before, segments);
      const after = getFrom(this.#after, segments);
      if (sameStanding(before, after) && !this.initial) continue;
      const type = after === undefined ? 'delete' : before === undefined || replaced ? 'write' : 'subtree-modified';
      changes.push(new PinnedModification(pointer, segments, type, before, after, operations));
    }
    return changes;
  }
}

function joined(earlier: Touched | undefined, later: Touched): Touched {
  if (earlier === undefined) return later;
  const count = (earlier.operations?.length ?? Infinity) + (later.operations?.length ?? Infinity);
  const operations = count > OPERATIONS_LIMIT ? undefined : [...earlier.operations!, ...later.operations!];
  return { segments: later.segments, replaced: earlier.replaced || later.replaced, operations };
}

class PinnedModification implements Modification {
  readonly path: string;
  readonly segments: Path;
  readonly type: ChangeType;
  readonly operations: readonly Operation[] | undefined;
  readonly #before: Standing;
  readonly #after: Standing;
  #built: { before?: Value | undefined; after?: Value | undefined } = {};

  constructor(
    path: string,
    segments: Path,
    type: ChangeType,
    before: Standing,
    after: Standing,
    operations: readonly Operation[] | undefined,
  ) {
    this.path = path;
    this.segments = segments;
    this.type = type;
    this.operations = operations;
    this.#before = before;
    this.#after = after;
  }

  get before(): Value | undefined {
    if (!('before' in this.#built)) this.#built.before = exportStanding(this.#before);
    return this.#built.before;
  }

  get after(): Value | undefined {
    if (!('after' in this.#built)) this.#built.after = exportStanding(this.#after);
    return this.#built.after;
  }
}
