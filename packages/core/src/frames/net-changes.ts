import { ApplySink } from './apply-sink.ts';
import { DELETED } from './binary-format.ts';
import { BinaryBodyReader } from './binary-reader.ts';
import { keyOfBytes } from './key-cache.ts';
import { hashKey, lanes } from '../tree/digest.ts';
import { lookupHashed, type TreeNode } from '../tree/node.ts';
import type { Tree } from '../tree/tree.ts';

/** Deeper paths are never gathered: they are walked by recursion. */
export const NET_DEPTH_LIMIT = 256;
/** Changes after which what would take them back is forgotten. */
const CHANGES_A_STEP = 1_024;

/**
 * What some frames, which follow one another, change altogether. A path is the number of the path above it and that of
 * its last key; 0 is the root, and a path comes behind that above it. No value is an object or an array.
 */
export interface NetChanges {
  /** Revision at the end of the last of the frames. */
  readonly last: number;
  readonly operations: number;
  readonly parents: Uint32Array;
  /** The number of each path's last key, from 1. */
  readonly pathKeys: Uint32Array;
  /** Where in `bytes` the value stands that was put at a path last, plus 1; 0 where none was. Later operations stand behind earlier ones. */
  readonly puts: Uint32Array;
  /** The frames. */
  readonly bytes: Buffer;
  /** Where each key stands in `keys`, and behind that its length. */
  readonly keySpans: Uint32Array;
  readonly keys: Buffer;
}

/**
 * Makes the changes in a tree, path by path, those of an object together. One after the other, as they were made, each
 * would wait for memory at every object on its way: on a tree that is larger than the processor's caches that is most of
 * the time. Whether the frames could be applied one by one is not looked at: the digest afterwards tells.
 * @throws EvertreeError PATH_INVALID, FORMAT_INVALID
 */
export function makeNetChanges(tree: Tree, changes: NetChanges): void {
  new NetApplication(tree, changes).run();
}

class NetApplication {
  readonly #tree: Tree;
  readonly #changes: NetChanges;
  readonly #reader: BinaryBodyReader;
  readonly #texts: (string | undefined)[];
  readonly #hashes: Int32Array;
  /** The paths below each path: those of path n from `#firsts[n]` up to `#firsts[n + 1]`. */
  readonly #below: Uint32Array<ArrayBuffer>;
  readonly #firsts: Uint32Array<ArrayBuffer>;
  /** The last put below each path. */
  readonly #latest: Uint32Array<ArrayBuffer>;
  /** The objects on the way, by depth. */
  readonly #nodes: TreeNode[] = [];
  #made = 0;

  constructor(tree: Tree, changes: NetChanges) {
    const { parents, keySpans, bytes } = changes;
    this.#tree = tree;
    this.#changes = changes;
    this.#reader = new BinaryBodyReader(bytes, tree.generation, new ApplySink(tree));
    this.#texts = Array.from({ length: keySpans.length / 2 });
    this.#hashes = new Int32Array(keySpans.length);
    this.#below = new Uint32Array(parents.length);
    this.#firsts = new Uint32Array(parents.length + 2);
    this.#latest = new Uint32Array(parents.length);
  }

  run(): void {
    this.#sort();
    this.#nodes[0] = this.#tree.ownRoot();
    this.#walk(0, 0, 0);
    this.#tree.undo.clear();
    // At once: the collector lets tens of MiB of buffers gather before it looks.
    for (const { buffer } of [this.#below, this.#firsts, this.#latest]) buffer.transfer(0);
  }

  #sort(): void {
    const { parents, puts } = this.#changes;
    const [firsts, latest] = [this.#firsts, this.#latest];
    for (let path = parents.length - 1; path > 0; path--) {
      const parent = parents[path]!;
      firsts[parent + 2]!++;
      const last = Math.max(puts[path]!, latest[path]!);
      if (last > latest[parent]!) latest[parent] = last;
    }
    for (let path = 2; path < firsts.length; path++) firsts[path]! += firsts[path - 1]!;
    for (let path = 1; path < parents.length; path++) this.#below[firsts[parents[path]! + 1]!++] = path;
  }

  /** @param after what was put before is gone: an object above was replaced then */
  #walk(path: number, level: number, after: number): void {
    const { puts, pathKeys } = this.#changes;
    const tree = this.#tree;
    const node = this.#nodes[level]!;
    for (let index = this.#firsts[path]!, end = this.#firsts[path + 1]!; index < end; index++) {
      const child = this.#below[index]!;
      const put = puts[child]!;
      const since = put > after ? put : after;
      const leadsOn = this.#latest[child]! > since;
      if (put <= after && !leadsOn) continue;
      const number = pathKeys[child]!;
      const key = this.#texts[number] ?? this.#key(number);
      const [lo, hi] = [this.#hashes[number * 2]!, this.#hashes[number * 2 + 1]!];
      if (put > after) this.#put(put - 1, level, key, lo, hi);
      if (!leadsOn) continue;
      const known = lookupHashed(node, key, lo);
      this.#nodes[level + 1] = tree.step(node, key, lo, hi, level, known);
      if (known === undefined) this.#touch(level);
      this.#walk(child, level + 1, since);
    }
  }

  #put(at: number, level: number, key: string, lo: number, hi: number): void {
    const reader = this.#reader;
    const node = this.#nodes[level]!;
    reader.at = at;
    const tag = reader.byte();
    const old = lookupHashed(node, key, lo);
    // It was put and deleted among these changes.
    if (tag === DELETED && old === undefined) return;
    this.#tree.change(node, key, lo, hi, old, tag === DELETED ? undefined : reader.value(tag));
    this.#touch(level);
    if (++this.#made % CHANGES_A_STEP === 0) this.#tree.undo.clear();
  }

  #touch(level: number): void {
    const nodes = this.#nodes;
    for (let at = level; at > 0 && !nodes[at]!.touched; at--) this.#tree.markTouched(nodes[at]!, nodes[at - 1]!, at);
  }

  #key(number: number): string {
    const { keys, keySpans } = this.#changes;
    const start = keySpans[number * 2]!;
    const key = keyOfBytes(keys, start, start + keySpans[number * 2 + 1]!);
    hashKey(key);
    this.#texts[number] = key;
    this.#hashes[number * 2] = lanes.lo;
    this.#hashes[number * 2 + 1] = lanes.hi;
    return key;
  }
}
