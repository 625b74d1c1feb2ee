import { ApplySink } from './apply-sink.ts';
import { DELETED } from './binary-format.ts';
import { BinaryBodyReader, malformed } from './binary-reader.ts';
import { keyOfBytes } from './key-cache.ts';
import { hashKey, lanes } from '../tree/digest.ts';
import { lookupHashed, spelledKey, type TreeNode } from '../tree/node.ts';
import { mixAgain } from '../tree/touched-level.ts';
import type { Tree } from '../tree/tree.ts';

/** The most segments of a path: changes are walked by recursion. Whoever gathers them leaves deeper ones. */
export const NET_DEPTH_LIMIT = 256;
/** Of what is said of a child. */
export const HAS_BELOW = 1;
export const HAS_VALUE = 2;
/** By so much the number of its key stands above that. */
export const NET_KEY_SHIFT = 2;
/** Changes after which what would take them back is forgotten. */
const CHANGES_A_STEP = 1_024;

/** What some frames, which follow one another, change altogether. No value is an object or an array. */
export interface NetChanges {
  /** Revision at the end of the last of the frames. */
  readonly last: number;
  readonly operations: number;
  /**
   * What changes in the root: for each child that changes, or below which something does, a varint, then its value, then
   * what changes in the child. A 0 stands behind the last one. The varint has HAS_VALUE, HAS_BELOW, and above them the
   * number of the child's key: 0 for a key that follows, its length before it, and which gets the next number, from 1.
   * Values are those of a binary body; DELETED for none.
   */
  readonly body: Buffer;
}

/**
 * Makes the changes in a tree, those of an object together. One after the other, as they were made, each would wait for
 * memory at every object on its way: on a tree that is larger than the processor's caches that is most of the time.
 * Whether the frames could be applied one by one is not looked at: the digest afterwards tells.
 * @throws EvertreeError PATH_INVALID, FORMAT_INVALID
 */
export function makeNetChanges(tree: Tree, { body }: NetChanges): void {
  new NetApplication(tree, body).run();
}

class NetApplication {
  readonly #tree: Tree;
  readonly #body: Buffer;
  readonly #reader: BinaryBodyReader;
  // By the numbers of keys, from 1.
  readonly #keys: string[] = [''];
  readonly #hashesLo: number[] = [0];
  readonly #hashesHi: number[] = [0];
  #made = 0;

  constructor(tree: Tree, body: Buffer) {
    this.#tree = tree;
    this.#body = body;
    this.#reader = new BinaryBodyReader(body, tree.generation, new ApplySink(tree));
  }

  run(): void {
    // What was touched before is mixed, so that no touched node is below one that is mixed on the way.
    this.#tree.mixTouched();
    this.#walk(this.#tree.ownRoot(), 0);
    this.#tree.undo.clear();
    this.#reader.assertEnd();
  }

  /** Makes what changes in a node. Its own term in its parent's sum is left to the caller. */
  #walk(node: TreeNode, level: number): void {
    if (level >= NET_DEPTH_LIMIT) throw malformed('a path that is too deep');
    const reader = this.#reader;
    const tree = this.#tree;
    for (let head = reader.varint(); head !== 0; head = reader.varint()) {
      const number = head >>> NET_KEY_SHIFT === 0 ? this.#spelled(node) : head >>> NET_KEY_SHIFT;
      const key = this.#keys[number];
      if (key === undefined) throw malformed('an undefined key');
      const lo = this.#hashesLo[number]!;
      const hi = this.#hashesHi[number]!;
      if ((head & HAS_VALUE) !== 0) this.#put(node, key, lo, hi);
      if ((head & HAS_BELOW) === 0) continue;
      const below = tree.step(node, key, lo, hi, level, lookupHashed(node, key, lo));
      this.#walk(below, level + 1);
      mixAgain(below, node);
    }
  }

  #put(node: TreeNode, key: string, lo: number, hi: number): void {
    const tag = this.#reader.byte();
    const old = lookupHashed(node, key, lo);
    // It was put and deleted among these changes.
    if (tag === DELETED && old === undefined) return;
    this.#tree.change(node, key, lo, hi, old, tag === DELETED ? undefined : this.#reader.value(tag));
    if (++this.#made % CHANGES_A_STEP === 0) this.#tree.undo.clear();
  }

  /** Reads a key, and gives it the next number. @param node below which it comes first */
  #spelled(node: TreeNode): number {
    const reader = this.#reader;
    const length = reader.varint();
    const end = reader.at + length;
    if (end > this.#body.length) throw malformed('an end in the middle of a key');
    // A wide node has many keys, each once: its own strings are found without making others.
    let key = spelledKey(node, this.#body, reader.at, end);
    if (key === undefined) hashKey((key = keyOfBytes(this.#body, reader.at, end)));
    reader.at = end;
    this.#hashesLo.push(lanes.lo);
    this.#hashesHi.push(lanes.hi);
    return this.#keys.push(key) - 1;
  }
}
