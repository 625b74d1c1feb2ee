import type { Path } from '../tree/path.ts';

/** What of a PathSet is at and below one path. */
export interface PathSetNode {
  /** The path itself is in the set, with all below it: `children` is empty then. */
  isWhole: boolean;
  readonly children: Map<string, PathSetNode>;
}

/** Everything. */
export const WHOLE: PathSetNode = { isWhole: true, children: new Map() };

/** A set of subtrees, by their paths. Of a path and another one below it only the upper one counts. */
export class PathSet {
  readonly root: PathSetNode = { isWhole: false, children: new Map() };

  add(path: Path): void {
    let at = this.root;
    const last = path.length - 1;
    for (let level = 0; level < last; level++) {
      if (at.isWhole) return;
      const key = path[level]!;
      let next = at.children.get(key);
      if (next === undefined) at.children.set(key, (next = { isWhole: false, children: new Map() }));
      at = next;
    }
    if (at.isWhole) return;
    // Most paths of a large set have no node of their own.
    if (last >= 0) {
      at.children.set(path[last]!, WHOLE);
    } else {
      at.isWhole = true;
      at.children.clear();
    }
  }
}
