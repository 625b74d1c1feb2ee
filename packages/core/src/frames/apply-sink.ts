import type { SteppedSink } from './binary-steps.ts';
import type { ChangeSetHead, EpochNote, FrameNote, MarkNote } from './body.ts';
import { BodyAhead } from './body-ahead.ts';
import type { Handover } from '../position.ts';
import { EvertreeError } from '../errors.ts';
import { childAt, fetchRecent, lookupHashed, reachHashed, slotOf, spelledKey, type Child, type TreeNode } from '../tree/node.ts';
import type { Tree } from '../tree/tree.ts';

/** The nodes below one with so many children are not all in the processor's nearer caches. */
const LARGE_SIZE = 8_192;

const bodyAhead = new BodyAhead();

/**
 * Applies a binary body straight to the nodes of a tree that its dictionary names: no path is made, walked or hashed.
 * Every change is in `tree.undo`.
 */
export class ApplySink implements SteppedSink {
  note: FrameNote | undefined;
  readonly #tree: Tree;
  // By the dictionary's numbers: the node, its parent's number, its depth.
  readonly #nodes: TreeNode[];
  readonly #parents: number[];
  readonly #levels: number[];
  #count = 1;
  /** The large node that was named a child of last; 0 if there was none. */
  #large = 0;

  constructor(tree: Tree) {
    this.#tree = tree;
    ({ nodes: this.#nodes, parents: this.#parents, levels: this.#levels } = tree.named);
    this.#nodes[1] = tree.ownRoot();
    this.#levels[1] = 0;
  }

  /** Gives the next number to an object that is known already. */
  adopt(id: number, node: TreeNode, parent: number, level: number): void {
    this.#count = id;
    this.#nodes[id] = node;
    this.#parents[id] = parent;
    this.#levels[id] = level;
  }

  epoch(epoch: EpochNote): void {
    this.note = { epoch };
  }

  handover(handover: Handover): void {
    this.note = { handover };
  }

  mark(mark: MarkNote): void {
    this.note = { mark };
  }

  changeSet(_head: ChangeSetHead): void {
    // Only listeners need it, and this sink is used only where there are none.
  }

  spelledKey(node: number, bytes: Uint8Array, start: number, end: number): string | undefined {
    return spelledKey(this.#nodes[node]!, bytes, start, end);
  }

  define(parent: number, key: string, keyLo: number, keyHi: number): void {
    const level = this.#levels[parent]!;
    const above = this.#nodes[parent]!;
    const known = reachHashed(above, key, keyLo);
    if (above.size >= LARGE_SIZE) this.#large = parent;
    const id = ++this.#count;
    this.#nodes[id] = this.#tree.step(above, key, keyLo, keyHi, level, known);
    this.#parents[id] = parent;
    this.#levels[id] = level + 1;
    if (known === undefined) this.#touch(parent);
  }

  standing(id: number, key: string, keyLo: number): Child | undefined {
    return lookupHashed(this.#nodes[id]!, key, keyLo);
  }

  put(id: number, key: string, keyLo: number, keyHi: number, child: Child): void {
    const node = this.#nodes[id]!;
    const slot = slotOf(node, key);
    this.#tree.change(node, key, keyLo, keyHi, childAt(node, slot, key, keyLo), child, slot);
    this.#touch(id);
  }

  delete(id: number, key: string, keyLo: number, keyHi: number): void {
    const node = this.#nodes[id]!;
    const old = lookupHashed(node, key, keyLo);
    if (old === undefined) throw new EvertreeError('FORMAT_INVALID', 'a frame deletes what is not there');
    this.#tree.change(node, key, keyLo, keyHi, old, undefined);
    this.#touch(id);
  }

  putRoot(child: Child): void {
    this.#tree.put([], child);
    // The numbers of the nodes below the old root are not used again: a writer takes a number from the node itself.
    this.#nodes[1] = this.#tree.ownRoot();
  }

  /** Has the memory read, all at once, that the children of the large node will be waited for in. */
  ahead(body: Uint8Array, at: number, changeSets: number): void {
    if (this.#large === 0) return;
    const count = bodyAhead.look(body, at, changeSets, this.#large);
    if (count > 0) fetchRecent(this.#nodes[this.#large]!, bodyAhead.hashes, count);
  }

  #touch(id: number): void {
    for (let at = id; at > 1; at = this.#parents[at]!) {
      const node = this.#nodes[at]!;
      if (node.touched) return;
      this.#tree.markTouched(node, this.#nodes[this.#parents[at]!]!, this.#levels[at]!);
    }
  }
}
