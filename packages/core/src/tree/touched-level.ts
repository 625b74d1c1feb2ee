import { closeSum, hashKey, hashLeaf, lanes, mix } from './digest.ts';
import { forEachChild, TreeNode } from './node.ts';

/** A cleared list keeps its arrays, and so what they refer to, up to this many entries. */
const KEPT_ENTRIES = 16_384;

/** The touched nodes of one depth, with their parents. Its arrays are reused: see UndoLog. */
export class TouchedLevel {
  readonly #nodes: TreeNode[] = [];
  readonly #parents: TreeNode[] = [];
  #count = 0;

  push(node: TreeNode, parent: TreeNode): void {
    const at = this.#count++;
    this.#nodes[at] = node;
    this.#parents[at] = parent;
  }

  mix(): void {
    for (let at = 0; at < this.#count; at++) mixAgain(this.#nodes[at]!, this.#parents[at]!);
    this.clear();
  }

  clear(): void {
    if (this.#count > KEPT_ENTRIES) this.#nodes.length = this.#parents.length = 0;
    this.#count = 0;
  }
}

/** Brings the term of a node in the sum of its parent up to date, as far as its own sum is. */
export function mixAgain(node: TreeNode, parent: TreeNode): void {
  node.touched = false;
  closeSum(node.sumLo, node.sumHi);
  mix(node.keyLo, node.keyHi);
  parent.sumLo = (parent.sumLo - node.partLo + lanes.lo) | 0;
  parent.sumHi = (parent.sumHi - node.partHi + lanes.hi) | 0;
  node.partLo = lanes.lo;
  node.partHi = lanes.hi;
}

/** Computes every sum at and below a node anew. */
export function sumAgain(node: TreeNode): void {
  let lo = 0;
  let hi = 0;
  forEachChild(node, (key, child) => {
    if (child instanceof TreeNode) {
      sumAgain(child);
      closeSum(child.sumLo, child.sumHi);
      mix(child.keyLo, child.keyHi);
      child.partLo = lanes.lo;
      child.partHi = lanes.hi;
    } else {
      hashKey(key);
      const keyLo = lanes.lo;
      const keyHi = lanes.hi;
      hashLeaf(child);
      mix(keyLo, keyHi);
    }
    lo = (lo + lanes.lo) | 0;
    hi = (hi + lanes.hi) | 0;
  });
  node.sumLo = lo;
  node.sumHi = hi;
  node.touched = false;
}
