import { ChangeSlots, FRESH, GONE, NAMED, NUMBER, OTHER } from './change-slots.ts';
import { EvertreeError } from '../errors.ts';
import { KeyNumbers } from './key-numbers.ts';
import { lanes } from '../tree/digest.ts';
import { lookupHashed, type Child, type TreeNode } from '../tree/node.ts';
import type { Tree } from '../tree/tree.ts';

/** The slot of the root, which has no parent. */
export const ROOT_SLOT = -1;

/** The bits of a slot's state that say what it stands for; the next one: its child has to be there before. */
const KIND = 7;
const WAS_THERE = 8;

/** Keys, and bytes of keys, above which it is time for `settle`, and all of them are forgotten with the next `clear`. */
const KEYS_LIMIT = 262_144;
const KEY_BYTES_LIMIT = 4 * 1024 * 1024;

/**
 * Changes of several frames that are not made in the tree yet: of each path the last one only.
 *
 * No pending change is above another one, so they may be made in any order. A change that would be is refused: then
 * `settle` has to come first, and that change is made in the tree itself.
 */
export class PendingChanges {
  readonly keys = new KeyNumbers();
  readonly #tree: Tree;
  readonly #slots = new ChangeSlots();
  readonly #others: Child[] = [];
  /** By their indices, from 0 for the root: objects that frames name. They are known from `settle` until `clear`. */
  readonly #nodes: TreeNode[] = [];
  readonly #parents: number[] = [0];
  readonly #levels: number[] = [0];
  #named = 0;
  /** Changes that were taken since the last `clear`, and how many of them were the first of their paths. */
  taken = 0;
  paths = 0;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** Whether nothing more may be taken before `grow` or `clear`. */
  get isFull(): boolean {
    return this.#slots.isFull;
  }

  /** Whether it is time for `settle`, so that another frame finds room. Objects as values bring keys without a slot. */
  get isHalfFull(): boolean {
    return this.#slots.isHalfFull || this.#hasManyKeys;
  }

  get #hasManyKeys(): boolean {
    return this.keys.count > KEYS_LIMIT || this.keys.bytes > KEY_BYTES_LIMIT;
  }

  /**
   * A frame named the object under a key.
   * @param frame the number of that frame, for `frameOfFailure`
   * @returns its slot; undefined if a change of this path is pending
   */
  define(parent: number, key: number, frame: number): number | undefined {
    const slots = this.#slots;
    const slot = slots.find(parent, key, frame);
    const state = slots.state(slot);
    if (state === NAMED) return slot;
    if (state !== FRESH) return undefined;
    slots.set(slot, NAMED, ++this.#named);
    return slot;
  }

  /**
   * The slot of a child that changes; `setNumber`, `set` or `remove` has to follow.
   * @returns undefined if the path is that of an object which a frame named
   */
  change(parent: number, key: number, frame: number): number | undefined {
    const slots = this.#slots;
    const slot = slots.find(parent, key, frame);
    const state = slots.state(slot);
    if (state === NAMED) return undefined;
    this.taken++;
    if (state === FRESH) this.paths++;
    return slot;
  }

  setNumber(slot: number, value: number): void {
    this.#slots.set(slot, NUMBER | (this.#slots.state(slot) & WAS_THERE), value);
  }

  set(slot: number, child: Child): void {
    const slots = this.#slots;
    const state = slots.state(slot);
    const index = (state & KIND) === OTHER ? slots.value(slot) : this.#others.length;
    this.#others[index] = child;
    slots.set(slot, OTHER | (state & WAS_THERE), index);
  }

  /** @returns false if it is gone already */
  remove(slot: number): boolean {
    const slots = this.#slots;
    const state = slots.state(slot);
    if ((state & KIND) === GONE) return false;
    slots.set(slot, GONE | (state === FRESH ? WAS_THERE : state & WAS_THERE), 0);
    return true;
  }

  /** More changes may be taken after `grow`, and not only after `clear`. */
  get mayGrow(): boolean {
    return this.#slots.mayGrow;
  }

  /** Makes room. @returns the new numbers of all slots, by their old ones */
  grow(): Int32Array {
    return this.#slots.grow();
  }

  /**
   * Makes the changes in the tree.
   * @param failed is told of the frame in which the change is that can't be made; what comes before it was made
   * @throws EvertreeError PATH_INVALID, FORMAT_INVALID
   */
  settle(failed: (frame: number) => void): void {
    const slots = this.#slots;
    this.#nodes[0] = this.#tree.ownRoot();
    for (let index = 0; index < slots.count; index++) {
      const slot = slots.at(index);
      try {
        this.#make(slot);
      } catch (error) {
        failed(slots.frameOf(slot));
        throw error;
      }
    }
  }

  /** The object of a slot, and its depth, after `settle`. */
  named(slot: number): { readonly node: TreeNode; readonly level: number } {
    const index = this.#indexOf(slot);
    return { node: this.#nodes[index]!, level: this.#levels[index]! };
  }

  /** Nothing is pending any more. */
  clear(): void {
    this.#slots.clear();
    this.#others.length = 0;
    this.#nodes.length = 0;
    this.#named = 0;
    this.taken = 0;
    this.paths = 0;
    if (this.#hasManyKeys) this.keys.clear();
  }

  /** Only behind `clear`: gives back what many changes made it take. */
  shrink(): void {
    this.#slots.shrink();
  }

  #make(slot: number): void {
    const slots = this.#slots;
    const tree = this.#tree;
    const above = this.#indexOf(slots.parent(slot));
    const parent = this.#nodes[above]!;
    const key = this.keys.text(slots.key(slot), parent);
    this.keys.hash(slots.key(slot));
    const { lo, hi } = lanes;
    const old = lookupHashed(parent, key, lo);
    const state = slots.state(slot);
    if (state === NAMED) {
      const index = slots.value(slot);
      this.#nodes[index] = tree.step(parent, key, lo, hi, this.#levels[above]!, old);
      this.#parents[index] = above;
      this.#levels[index] = this.#levels[above]! + 1;
      if (old === undefined) this.#touch(above);
      return;
    }
    if (old === undefined && (state & WAS_THERE) !== 0) throw new EvertreeError('FORMAT_INVALID', 'a frame deletes what is not there');
    const kind = state & KIND;
    if (kind === GONE && old === undefined) return;
    const child = kind === NUMBER ? slots.value(slot) : kind === OTHER ? this.#others[slots.value(slot)]! : undefined;
    tree.change(parent, key, lo, hi, old, child);
    this.#touch(above);
  }

  #indexOf(slot: number): number {
    return slot === ROOT_SLOT ? 0 : this.#slots.value(slot);
  }

  #touch(index: number): void {
    for (let at = index; at > 0; at = this.#parents[at]!) {
      const node = this.#nodes[at]!;
      if (node.touched) return;
      this.#tree.markTouched(node, this.#nodes[this.#parents[at]!]!, this.#levels[at]!);
    }
  }
}
