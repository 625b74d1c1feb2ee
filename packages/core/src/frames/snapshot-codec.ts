import { ApplySink } from './apply-sink.ts';
import { NO_NOTE, readBinaryBody, readChangeSetsInSteps, type BodyHead } from './binary-reader.ts';
import { readInSteps } from './binary-steps.ts';
import { BinaryBodyWriter } from './binary-writer.ts';
import { EvertreeError } from '../errors.ts';
import type { SnapshotHeader } from '../seams/journal.ts';
import { eachChild, TreeNode, type Child } from '../tree/node.ts';
import { slotAt } from '../tree/node-slots.ts';
import { Tree } from '../tree/tree.ts';
import type { Value } from '../tree/value.ts';
import { isContainer, ValueWalk } from './value-walk.ts';

/** Bytes at which a chunk ends. One longer value makes a longer chunk. */
export const SNAPSHOT_CHUNK_BYTES = 128 * 1024;

/** Children that are written between two pauses: a tenth of a millisecond of work. */
const CHILDREN_A_STEP = 256;
/** Members and items of arrays that are weighed before a pause: a tenth of a millisecond. */
const WEIGHED_A_STEP = 1_024;
/** Items that an array may have to be written without pauses. */
const SHORT_ARRAY = 16;

/**
 * Each chunk has the number of its puts, then a binary body with one change set for each. Applied in order they build
 * the tree.
 */
export function* encodeTree(root: TreeNode): Generator<Uint8Array> {
  for (const chunk of encodeTreeInSteps(root)) if (chunk !== undefined) yield chunk;
}

/** As encodeTree; undefined is a pause within a chunk. */
export function* encodeTreeInSteps(root: TreeNode): Generator<Uint8Array | undefined> {
  const writer = new TreeWriter();
  yield* writer.writeNode([root], []);
  const rest = writer.take();
  if (rest !== undefined) yield rest;
}

const NO_ARRAYS: readonly (readonly Value[])[] = Object.freeze([]);

class TreeWriter {
  #body = new BinaryBodyWriter();
  #puts = 0;
  /** Children that were looked at, of all nodes. */
  #children = 0;
  /** The arrays, but for short ones, of the child that `#weigh` was asked about last: itself, or its children. */
  #arrays = NO_ARRAYS;

  *writeNode(trail: TreeNode[], path: string[]): Generator<Uint8Array | undefined> {
    const node = trail[trail.length - 1]!;
    for (const [key, child] of eachChild(node)) {
      if (++this.#children % CHILDREN_A_STEP === 0) yield undefined;
      let room = this.#weigh(child);
      if (room >= 0 && this.#arrays.length > 0 && child instanceof TreeNode) room = yield* roomAfter(this.#arrays, room);
      if (room < 0) {
        yield* this.writeNode([...trail, child as TreeNode], [...path, key]);
        continue;
      }
      // The number of puts is known only at the end of a chunk, so each put is a change set, which costs one byte.
      this.#body.changeSet(0, undefined, undefined, 1);
      this.#body.name(trail, path);
      this.#puts++;
      if (this.#arrays.length === 0) this.#body.put(node, key, child);
      else yield* this.#body.putInSteps(node, key, child);
      // To copy one that is long takes a step of its own.
      if (this.#body.length > LONG_CHUNK_BYTES) yield undefined;
      if (this.#body.length >= SNAPSHOT_CHUNK_BYTES) yield this.take()!;
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

  /**
   * A node is written by one put if it is narrow, has no inner nodes and is short, so that a chunk has one long value at
   * most. An empty node is, also one that became wide before.
   * @returns how much longer the child could be for that, without `#arrays`; negative if it is not written by one put
   */
  #weigh(child: Child): number {
    this.#arrays = NO_ARRAYS;
    let room = SNAPSHOT_CHUNK_BYTES;
    if (!(child instanceof TreeNode)) {
      if (isContainer(child) && shortWeight(child) < 0) this.#arrays = [child];
      return room;
    }
    if (child.branch !== undefined) return child.size === 0 ? room : -1;
    for (let index = 0; index < child.size; index++) {
      const field = slotAt(child, index)!;
      if (typeof field === 'string') {
        room -= field.length;
      } else if (typeof field === 'object' && field !== null) {
        if (field instanceof TreeNode) return -1;
        const weight = shortWeight(field);
        if (weight < 0) this.#arrays = [...this.#arrays, field];
        else room -= weight;
      }
      if (room < 0) return room;
    }
    return room;
  }
}

/** What an array of a few leaves takes of a chunk's room; -1 for any other. Steps would take twice as long for it. */
function shortWeight(items: readonly Value[]): number {
  if (items.length > SHORT_ARRAY) return -1;
  let weight = 0;
  for (const item of items) {
    if (isContainer(item)) return -1;
    weight += weightOf(item);
  }
  return weight;
}

function weightOf(leaf: Value): number {
  return typeof leaf === 'string' ? leaf.length : 8;
}

/** What remains of `room` after arrays; negative as soon as it is known not to suffice. */
function* roomAfter(arrays: readonly (readonly Value[])[], room: number): Generator<undefined, number> {
  const walk = new ValueWalk(arrays);
  let left = room;
  for (let work = 1; left >= 0 && walk.next(); work++) {
    const { key, value } = walk;
    if (key !== undefined) left -= key.length;
    if (!isContainer(value)) left -= weightOf(value);
    if (work % WEIGHED_A_STEP === 0) yield;
  }
  return left;
}

/** A chunk of more bytes has a value that is longer than a chunk should be. */
const LONG_CHUNK_BYTES = 2 * SNAPSHOT_CHUNK_BYTES;

/** Builds a tree from a snapshot's chunks, in order. */
export class SnapshotBuilder {
  readonly tree = new Tree();

  /** @throws EvertreeError FORMAT_INVALID, PATH_INVALID */
  add(chunk: Uint8Array): void {
    const { head, body } = open(chunk);
    readBinaryBody(body, head, this.tree.generation, new ApplySink(this.tree));
    this.#rest();
  }

  /** As `add`, in steps. A long value has steps of its own. */
  *addSteps(chunk: Uint8Array): Generator<void> {
    const { head, body } = open(chunk);
    if (chunk.length <= LONG_CHUNK_BYTES) {
      yield* readChangeSetsInSteps(body, head, this.tree.generation, new ApplySink(this.tree));
      this.#rest();
      return;
    }
    const options = { sink: new ApplySink(this.tree), sieve: undefined, changeSets: head.count };
    for (const _ of readInSteps(body, head, this.tree.generation, options)) {
      this.#rest();
      yield;
    }
    this.#rest();
  }

  /** What was touched is mixed with each chunk: all at once would be a long step behind the last one. */
  #rest(): void {
    this.tree.undo.clear();
    this.tree.mixTouched();
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

/** @throws EvertreeError FORMAT_INVALID */
function open(chunk: Uint8Array): { readonly head: BodyHead; readonly body: Buffer } {
  const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (bytes.length < 4) throw new EvertreeError('FORMAT_INVALID', 'a snapshot has a chunk that is too short');
  return { head: { count: bytes.readUInt32LE(0), firstTime: 0, ...NO_NOTE }, body: bytes.subarray(4) };
}
