import { closeSum, hashKey, hashLeaf, lanes, mix } from './digest.ts';
import { forEachChild, TreeNode } from './node.ts';

/** Nodes that `mixSteps` mixes between two pauses: a millisecond of work. */
const STEP_NODES = 8_192;

/** A cleared list keeps its arrays, and so what they refer to, up to this many entries. */
const KEPT_ENTRIES = 16_384;

/** So many nodes are fetched at once: the processor then waits for all of them together. */
const FETCHED_NODES = 32;

/** The touched nodes of one depth, with their parents. Its arrays are reused: see UndoLog. */
export class TouchedLevel {
  readonly #nodes: TreeNode[] = [];
  readonly #parents: TreeNode[] = [];
  #count = 0;
  /** What `#fetch` read: it is kept so that V8 does not leave the reading out. */
  read = 0;

  push(node: TreeNode, parent: TreeNode): void {
    const at = this.#count++;
    this.#nodes[at] = node;
    this.#parents[at] = parent;
  }

  mix(): void {
    this.#mixUpTo(0, this.#count);
    this.clear();
  }

  *mixSteps(): Generator<void> {
    for (let from = 0; from < this.#count; from += STEP_NODES) {
      if (from > 0) yield;
      this.#mixUpTo(from, Math.min(this.#count, from + STEP_NODES));
    }
    this.clear();
  }

  #mixUpTo(from: number, count: number): void {
    for (let start = from; start < count; start += FETCHED_NODES) {
      const end = Math.min(count, start + FETCHED_NODES);
      this.#fetch(start, end);
      for (let at = start; at < end; at++) mixAgain(this.#nodes[at]!, this.#parents[at]!);
    }
  }

  /**
   * Reads nodes that are needed soon. One after the other, each would be waited for: measured on a million leaves, a
   * twentieth of the CPU of both sites.
   */
  #fetch(start: number, end: number): void {
    let read = 0;
    for (let at = start; at < end; at++) {
      const node = this.#nodes[at]!;
      read ^= node.frame ^ node.sumHi;
    }
    this.read = read;
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
