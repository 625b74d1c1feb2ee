import type { DiskFile, ExactPosition } from '@evertree/core';
import { ByteWriter } from '@evertree/core';
import { BlockTreeWriter, writeKey } from './block-tree-writer.ts';
import { compareKeys, depthOf } from './path-key.ts';
import type { RunDescription } from './run-format.ts';
import { BLOCK_BYTES, encodeDescription, encodeRunEnd, ENTRY_BYTES } from './run-format.ts';
import { RunOutput } from './run-output.ts';

/** A part of a frame's body that can be read without the others; FORMAT.md, «Index». */
export interface Chunk {
  /** Change sets that begin in it. */
  readonly begun: number;
  /** Operations before it of the change set that goes on in it; 0 if it begins with a change set. */
  readonly skipped: number;
  /** Operations of that change set from here on; 0 if the chunk begins with a change set. */
  readonly left: number;
  readonly bytes: number;
  /** Of the last change set that began before it, milliseconds since 1970; for the first, the frame's first time. */
  readonly time: number;
  readonly checksum: number;
}

/** Where a frame lies, as a run tells it. */
export interface FrameRow {
  /** The revision of its base. */
  readonly base: number;
  readonly count: number;
  /** The number of its segment in the run. */
  readonly segment: number;
  /** Of its record in the segment. */
  readonly offset: number;
  /** Of its record: header, frame and trailer. */
  readonly length: number;
  /** Empty for a frame that is read whole. */
  readonly chunks: readonly Chunk[];
}

/** What a run is about; the rest of its description follows from its content. */
export type RunRange = Omit<RunDescription, 'depths' | 'touches' | 'frames' | 'last'>;

/**
 * Writes a run: first all touches, by key and then by time, then all frames, then the end. The same content always
 * makes the same bytes.
 */
export class RunWriter {
  readonly #range: RunRange;
  readonly #output: RunOutput;
  readonly #touches: TouchLeaves;
  readonly #frames: FrameLeaves;

  constructor(file: Pick<DiskFile, 'write'>, range: RunRange) {
    this.#range = range;
    this.#output = new RunOutput(file);
    this.#touches = new TouchLeaves(new BlockTreeWriter(this.#output), range.base.revision);
    this.#frames = new FrameLeaves(new BlockTreeWriter(this.#output), range.base.revision);
  }

  /** Begins the touches of the next path. @param key is copied */
  path(key: Uint8Array, length: number): void {
    this.#touches.path(key, length);
  }

  /** Whether touches of a path are being written. */
  isPath(key: Uint8Array, length: number): boolean {
    return this.#touches.isPath(key, length);
  }

  /** The next touch of the path. */
  posting(revision: number, operation: number, isDelete: boolean): void {
    this.#touches.posting(revision, operation, isDelete);
  }

  frame(row: FrameRow): void {
    this.#frames.frame(row);
  }

  /** Whether `flush` is due. */
  get isFull(): boolean {
    return this.#output.isFull;
  }

  flush(): Promise<void> {
    return this.#output.flush();
  }

  /** Writes what is left. @returns the length of the file */
  async finish(last: ExactPosition): Promise<number> {
    const output = this.#output;
    const touches = this.#touches.finish();
    const frames = this.#frames.finish();
    const description = encodeDescription({ ...this.#range, last, depths: this.#touches.depths, touches, frames });
    const offset = output.length;
    output.raw(description);
    output.raw(encodeRunEnd(offset, description));
    await output.flush();
    return output.length;
  }
}

/** The leaves of the tree of touches. */
class TouchLeaves {
  readonly depths: number[] = [];
  readonly #tree: BlockTreeWriter;
  readonly #base: number;
  readonly #body = new ByteWriter(BLOCK_BYTES * 2);
  readonly #key = new ByteWriter(256);
  /** The key before in this block. */
  readonly #last = new ByteWriter(256);
  readonly #postings = new ByteWriter(ENTRY_BYTES * 2);
  #depth = 0;
  /** Of the entry's first posting, and of its newest one. */
  #first = 0;
  #newest = 0;
  #entries = 0;
  #count = 0;
  #written = 0;
  #start = { key: new Uint8Array(), revision: 0, entries: 0, postings: 0 };

  constructor(tree: BlockTreeWriter, base: number) {
    this.#tree = tree;
    this.#base = base;
    this.#body.byte(0);
  }

  path(key: Uint8Array, length: number): void {
    if (this.#postings.length > 0) this.#endEntry();
    this.#key.length = 0;
    this.#key.reserve(length);
    for (let at = 0; at < length; at++) this.#key.bytes[this.#key.length++] = key[at]!;
    this.#depth = depthOf(key, length);
    while (this.depths.length <= this.#depth) this.depths.push(0);
  }

  isPath(key: Uint8Array, length: number): boolean {
    return compareKeys(key, length, this.#key.bytes, this.#key.length) === 0;
  }

  posting(revision: number, operation: number, isDelete: boolean): void {
    const postings = this.#postings;
    const isFirst = postings.length === 0;
    if (isFirst) this.#first = revision;
    const delta = revision - (isFirst ? this.#base : this.#newest);
    postings.varint(delta * 4 + (operation > 0 ? 2 : 0) + (isDelete ? 1 : 0));
    if (operation > 0) postings.varint(operation);
    this.#newest = revision;
    this.#count++;
    this.depths[this.#depth]!++;
    if (postings.length >= ENTRY_BYTES) this.#endEntry();
  }

  finish() {
    if (this.#postings.length > 0) this.#endEntry();
    if (this.#body.length > 1) this.#endBlock();
    return this.#tree.finish();
  }

  #endEntry(): void {
    const body = this.#body;
    const key = this.#key;
    if (body.length === 1) {
      const revision = this.#first - this.#base;
      this.#start = { key: Buffer.from(key.written()), revision, entries: this.#entries, postings: this.#written };
      this.#last.length = 0;
    }
    writeKey(body, this.#last, key.bytes, key.length);
    const postings = this.#postings;
    body.varint(postings.length);
    body.reserve(postings.length);
    postings.bytes.copy(body.bytes, body.length, 0, postings.length);
    body.length += postings.length;
    this.#postings.length = 0;
    this.#entries++;
    this.#written = this.#count;
    if (body.length >= BLOCK_BYTES) this.#endBlock();
  }

  #endBlock(): void {
    this.#tree.leaf(this.#start, this.#body.written());
    this.#body.length = 1;
  }
}

/** The leaves of the tree of frames. */
class FrameLeaves {
  readonly #tree: BlockTreeWriter;
  readonly #base: number;
  readonly #body = new ByteWriter(BLOCK_BYTES * 2);
  #entries = 0;
  #start = { key: new Uint8Array(), revision: 0, entries: 0, postings: 0 };

  constructor(tree: BlockTreeWriter, base: number) {
    this.#tree = tree;
    this.#base = base;
    this.#body.byte(0);
  }

  frame({ base, count, segment, offset, length, chunks }: FrameRow): void {
    const body = this.#body;
    if (body.length === 1) {
      this.#start = { key: this.#start.key, revision: base - this.#base, entries: this.#entries, postings: 0 };
      body.varint(base - this.#base);
      body.varint(segment);
      body.varint(offset);
    }
    body.varint(count * 2 + (chunks.length > 0 ? 1 : 0));
    body.varint(length);
    if (chunks.length > 0) this.#chunks(chunks);
    this.#entries++;
    if (body.length >= BLOCK_BYTES) this.#endBlock();
  }

  finish() {
    if (this.#body.length > 1) this.#endBlock();
    return this.#tree.finish();
  }

  #chunks(chunks: readonly Chunk[]): void {
    const body = this.#body;
    let { time } = chunks[0]!;
    body.varint(time);
    body.varint(chunks.length);
    for (const chunk of chunks) {
      body.varint(chunk.begun);
      body.varint(chunk.skipped);
      if (chunk.skipped > 0) body.varint(chunk.left);
      body.varint(chunk.bytes);
      body.varint(chunk.time - time);
      body.reserve(4);
      body.length = body.bytes.writeUInt32LE(chunk.checksum, body.length);
      ({ time } = chunk);
    }
  }

  #endBlock(): void {
    this.#tree.leaf(this.#start, this.#body.written());
    this.#body.length = 1;
  }
}
