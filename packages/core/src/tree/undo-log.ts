import type { Child, TreeNode } from './node.ts';

/** A cleared log keeps its arrays, and so what they refer to, up to this many entries. */
const KEPT_ENTRIES = 16_384;

/** What to assign in order to undo what was assigned, the latest first. An entry without a node stands for the root. */
export class UndoLog {
  // The count is kept apart from the arrays: with `length` set to 0 at each commit the next one would allocate them
  // anew.
  readonly #nodes: (TreeNode | undefined)[] = [];
  readonly #keys: string[] = [];
  readonly #old: (Child | undefined)[] = [];
  #count = 0;

  get empty(): boolean {
    return this.#count === 0;
  }

  push(node: TreeNode | undefined, key: string, old: Child | undefined): void {
    const at = this.#count++;
    this.#nodes[at] = node;
    this.#keys[at] = key;
    this.#old[at] = old;
  }

  clear(): void {
    if (this.#count > KEPT_ENTRIES) this.#nodes.length = this.#keys.length = this.#old.length = 0;
    this.#count = 0;
  }

  takeBack(assignOld: (node: TreeNode | undefined, key: string, old: Child | undefined) => void): void {
    for (let at = this.#count - 1; at >= 0; at--) assignOld(this.#nodes[at], this.#keys[at]!, this.#old[at]);
    this.clear();
  }
}
