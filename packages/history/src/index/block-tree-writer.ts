import { ByteWriter } from '@evertree/core';
import type { BlockPlace } from './run-format.ts';
import { BLOCK_BYTES } from './run-format.ts';
import type { RunOutput } from './run-output.ts';

/** Where the entries of a block begin. */
export interface BlockStart {
  /** The key of its first entry. */
  readonly key: Uint8Array;
  /** The revision of its first entry, less that of the run's base. */
  readonly revision: number;
  /** What the run has before this block. */
  readonly entries: number;
  readonly postings: number;
}

/** A block of one height that is being filled. */
interface OpenBlock {
  readonly body: ByteWriter;
  /** The key of its last entry. */
  readonly last: ByteWriter;
  /** Undefined while it is empty. */
  start: BlockStart | undefined;
  count: number;
  /** The block below that its last entry is about. */
  below: BlockPlace | undefined;
}

/** Writes the inner blocks of a tree above leaves that come in order. */
export class BlockTreeWriter {
  readonly #output: RunOutput;
  /** By height, from 1. */
  readonly #open: OpenBlock[] = [];
  #leaves = 0;
  #lastLeaf: BlockPlace | undefined;

  constructor(output: RunOutput) {
    this.#output = output;
  }

  /** Takes the next leaf. @param body with the byte of its height, which is 0 */
  leaf(start: BlockStart, body: Uint8Array): void {
    const place = this.#output.block(body);
    this.#leaves++;
    this.#lastLeaf = place;
    this.#add(1, start, place);
  }

  /** Writes what is still open. @returns the root; undefined for a tree without leaves */
  finish(): BlockPlace | undefined {
    if (this.#leaves < 2) return this.#lastLeaf;
    for (let height = 1; ; height++) {
      const block = this.#open[height - 1]!;
      const { start } = block;
      if (start === undefined) continue;
      const isTop = height === this.#open.length;
      // A root with one entry would only stand for the block below it.
      if (isTop && block.count === 1) return block.below;
      const place = this.#close(block);
      if (isTop) return place;
      this.#add(height + 1, start, place);
    }
  }

  #add(height: number, start: BlockStart, place: BlockPlace): void {
    const block = (this.#open[height - 1] ??= newBlock(height));
    if (block.start === undefined) {
      block.start = start;
      block.body.length = 1;
      block.last.length = 0;
      block.count = 0;
    }
    writeKey(block.body, block.last, start.key, start.key.length);
    block.body.varint(start.revision);
    block.body.varint(place.offset);
    block.body.varint(place.bytes);
    block.body.varint(start.entries);
    block.body.varint(start.postings);
    block.count++;
    block.below = place;
    if (block.body.length < BLOCK_BYTES) return;
    const full = block.start;
    this.#add(height + 1, full, this.#close(block));
  }

  #close(block: OpenBlock): BlockPlace {
    block.start = undefined;
    return this.#output.block(block.body.written());
  }
}

function newBlock(height: number): OpenBlock {
  const body = new ByteWriter(BLOCK_BYTES * 2);
  body.byte(height);
  return { body, last: new ByteWriter(256), start: undefined, count: 0, below: undefined };
}

/** Writes a key after the one before it in the same block, which `last` holds; `last` is the new key then. */
export function writeKey(body: ByteWriter, last: ByteWriter, key: Uint8Array, length: number): void {
  const most = Math.min(last.length, length);
  const before = last.bytes;
  let shared = 0;
  while (shared < most && before[shared] === key[shared]) shared++;
  const rest = length - shared;
  body.varint(shared);
  body.varint(rest);
  body.reserve(rest);
  last.length = shared;
  last.reserve(rest);
  for (let at = shared; at < length; at++) {
    body.bytes[body.length++] = key[at]!;
    last.bytes[last.length++] = key[at]!;
  }
}
