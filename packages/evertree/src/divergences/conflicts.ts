import { type Path, type Position, formatPath } from '@evertree/core';

/**
 * Why a path does not hold what a diverged commit saw there.
 * - `changed`: the history that goes on changed it, at `position`.
 * - `later`: a later commit of the divergence was applied before this one.
 * - `left-out`: an earlier commit of the divergence, which this one built on, was not applied.
 * - `unknown`: the history since the fork is not all here, so it can't be told.
 */
export type ConflictReason = 'changed' | 'later' | 'left-out' | 'unknown';

export interface Conflict {
  /** A pointer. */
  readonly path: string;
  readonly reason: ConflictReason;
  /** Of the change, if the reason is `changed`. */
  readonly position?: Position;
}

/** What happened at a path. A path is covered by what happened at it or above it. */
interface Marks {
  /** The last change of the history that goes on. */
  changed: { readonly order: number; readonly position: Position } | undefined;
  /** The last commit of the divergence that was applied again. */
  applied: { readonly order: number; readonly revision: number } | undefined;
  /** The highest revision that was applied again; 0 for none. */
  highestApplied: number;
  /** The highest revision that was not applied; 0 for none. */
  leftOut: number;
}

class PathNode {
  readonly children = new Map<string, PathNode>();
  /** What happened at this path as a whole. */
  readonly whole: Marks = { changed: undefined, applied: undefined, highestApplied: 0, leftOut: 0 };
  /** What happened somewhere below it. */
  readonly below: Marks = { changed: undefined, applied: undefined, highestApplied: 0, leftOut: 0 };
}

/**
 * Judges which commits of a divergence meet, in the history that goes on, what they saw when they were made. It goes by
 * paths: one that was changed and changed back counts as changed. It keeps marks at the paths of the divergence only,
 * so it stays as small as that, however long the other history is.
 */
export class Conflicts {
  readonly #root = new PathNode();
  /** Counts what happened, in the order in which it did. */
  #order = 0;

  /** Adds a path of the divergence. Those of all its operations have to be there before anything else is told or asked. */
  add(path: Path): void {
    let node = this.#root;
    for (const key of path) {
      const child = node.children.get(key) ?? new PathNode();
      node.children.set(key, child);
      node = child;
    }
  }

  /** The history that goes on changed the subtree at a path. */
  changed(path: Path, position: Position): void {
    const changed = { order: ++this.#order, position };
    this.#mark(path, marks => {
      marks.changed = changed;
    });
  }

  /** A commit of the divergence was applied again, with an operation at this path. */
  applied(path: Path, revision: number): void {
    const applied = { order: ++this.#order, revision };
    this.#mark(path, marks => {
      marks.applied = applied;
      marks.highestApplied = Math.max(marks.highestApplied, revision);
    });
  }

  /** A commit of the divergence with an operation at this path was not applied. To be told in the order of revisions. */
  leftOut(path: Path, revision: number): void {
    this.#mark(path, marks => {
      marks.leftOut = revision;
    });
  }

  /** Why the path does not hold what the commit of this revision saw there; undefined if it does. */
  at(path: Path, revision: number): Conflict | undefined {
    const { whole, below } = this.#marksAt(path);
    // An operation at the path or above it replaced all that was there: what happened before counts no more.
    const replaced = latest(whole.map(({ applied }) => applied));
    const changed = latest([...whole, below].map(marks => marks.changed));
    if (changed !== undefined && changed.order > (replaced?.order ?? 0)) {
      return { path: formatPath(path), reason: 'changed', position: changed.position };
    }
    if ([...whole, below].some(({ highestApplied }) => highestApplied > revision)) return { path: formatPath(path), reason: 'later' };
    if ([...whole, below].some(({ leftOut }) => leftOut > (replaced?.revision ?? 0))) return { path: formatPath(path), reason: 'left-out' };
    return undefined;
  }

  #mark(path: Path, set: (marks: Marks) => void): void {
    let node: PathNode | undefined = this.#root;
    for (const key of path) {
      set(node.below);
      node = node.children.get(key);
      if (node === undefined) return;
    }
    set(node.whole);
  }

  /** @param path one of the divergence */
  #marksAt(path: Path): { readonly whole: readonly Marks[]; readonly below: Marks } {
    let node = this.#root;
    const whole = [node.whole];
    for (const key of path) {
      const child = node.children.get(key);
      if (child === undefined) throw new RangeError(`${formatPath(path)} is no path of this divergence`);
      node = child;
      whole.push(node.whole);
    }
    return { whole, below: node.below };
  }
}

function latest<T extends { readonly order: number }>(each: readonly (T | undefined)[]): T | undefined {
  return each.reduce((best, one) => (one !== undefined && one.order > (best?.order ?? 0) ? one : best), undefined);
}
