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
    for (const key of path) {
      if (at.isWhole) return;
      let next = at.children.get(key);
      if (next === undefined) at.children.set(key, (next = { isWhole: false, children: new Map() }));
      at = next;
    }
    at.isWhole = true;
    at.children.clear();
  }
}
