import { ApplySink } from './apply-sink.ts';
import { NO_NOTE, readBinaryBody } from './binary-reader.ts';
import { BinaryBodyWriter } from './binary-writer.ts';
import { eachBranch, FIRST_PAIR } from '../tree/branch.ts';
import { EvertreeError } from '../errors.ts';
import type { SnapshotHeader } from '../seams/journal.ts';
import { childKeys, TreeNode, type Child } from '../tree/node.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';

/** Bytes at which a chunk ends. One longer value makes a longer chunk. */
export const SNAPSHOT_CHUNK_BYTES = 128 * 1024;

/**
 * Each chunk has the number of its puts, then a binary body with one change set for each. Applied in order they build
 * the tree.
 */
export function* encodeTree(root: TreeNode): Generator<Uint8Array> {
  const writer = new TreeWriter();
  yield* writer.writeNode([root], []);
  const rest = writer.take();
  if (rest !== undefined) yield rest;
}

class TreeWriter {
  #body = new BinaryBodyWriter();
  #puts = 0;

  *writeNode(trail: TreeNode[], path: string[]): Generator<Uint8Array> {
    const node = trail[trail.length - 1]!;
    if (node.branch === undefined) {
      yield* this.#writeChildren(node, trail, path, childKeys(node), node.fields!);
      return;
    }
    for (const branch of eachBranch(node.branch)) {
      const keys: string[] = [];
      const children: { [key: string]: Child } = Object.create(null) as { [key: string]: Child };
      for (let slot = FIRST_PAIR; slot < branch.length; slot += 2) {
        const key = branch[slot];
        if (typeof key !== 'string') continue;
        keys.push(key);
        children[key] = branch[slot + 1] as Child;
      }
      yield* this.#writeChildren(node, trail, path, keys, children);
    }
  }

  take(): Uint8Array | undefined {
    if (this.#puts === 0) return undefined;
    const body = this.#body.take();
    const chunk = Buffer.allocUnsafeSlow(4 + body.length);
    chunk.writeUInt32LE(this.#puts, 0);
    chunk.set(body, 4);
    this.#puts = 0;
    return chunk;
  }

  *#writeChildren(
    node: TreeNode,
    trail: TreeNode[],
    path: string[],
    keys: readonly string[],
    children: { readonly [key: string]: Child },
  ): Generator<Uint8Array> {
    for (const key of keys) {
      const child = children[key]!;
      if (child instanceof TreeNode && !isFlat(child)) {
        yield* this.writeNode([...trail, child], [...path, key]);
        continue;
      }
      this.#put(node, trail, path, key, child);
      if (this.#body.length >= SNAPSHOT_CHUNK_BYTES) yield this.take()!;
    }
  }

  #put(node: TreeNode, trail: TreeNode[], path: string[], key: string, child: Child): void {
    // The number of puts is known only at the end of a chunk, so each put is a change set, which costs one byte.
    this.#body.changeSet(0, undefined, undefined, 1);
    this.#body.name(trail, path);
    this.#body.put(node, key, child);
    this.#puts++;
  }
}

/**
 * Whether a node is written by one put: if it is narrow, has no inner nodes and is short, so that a chunk has one long
 * value at most. An empty node is, also one that became wide before.
 */
function isFlat(node: TreeNode): boolean {
  if (node.branch !== undefined) return node.size === 0;
  let room = SNAPSHOT_CHUNK_BYTES;
  for (const key in node.fields) {
    const child = node.fields[key]!;
    if (child instanceof TreeNode) return false;
    if (typeof child === 'string') room -= child.length;
    else if (typeof child === 'object' && child !== null) room = roomAfter(child, room);
    if (room < 0) return false;
  }
  return true;
}

/** What remains of `room` after an array or a value in it; negative as soon as it is known not to suffice. */
function roomAfter(value: Value, room: number): number {
  if (typeof value === 'string') return room - value.length;
  if (typeof value !== 'object' || value === null) return room - 8;
  let left = room;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && left >= 0; index++) left = roomAfter(value[index] as Value, left);
    return left;
  }
  for (const [key, item] of Object.entries(value)) {
    if (left < 0) break;
    left = roomAfter(item, left - key.length);
  }
  return left;
}

/** Builds a tree from a snapshot's chunks, in order. */
export class SnapshotBuilder {
  readonly tree = new Tree();

  /** @throws EvertreeError FORMAT_INVALID, PATH_INVALID */
  add(chunk: Uint8Array): void {
    const body = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (body.length < 4) throw new EvertreeError('FORMAT_INVALID', 'a snapshot has a chunk that is too short');
    const count = body.readUInt32LE(0);
    const head = { count, firstTime: 0, ...NO_NOTE };
    readBinaryBody(body.subarray(4), head, this.tree.generation, new ApplySink(this.tree));
    this.tree.undo.clear();
  }

  /** @throws EvertreeError DIGEST_MISMATCH when the tree is not the one that the header tells of */
  finish(header: SnapshotHeader): Tree {
    const found = this.tree.digest();
    if (found !== header.digest) {
      throw new EvertreeError('DIGEST_MISMATCH', `a snapshot has the digest ${found}, but its header says ${header.digest}`, {
        expected: header.digest,
        found,
      });
    }
    return this.tree;
  }
}
