import { crc32 } from 'node:zlib';
import type { Frame } from '@evertree/core';
import { BodyScan, decodeFrame, finishSteps, frameBody } from '@evertree/core';
import type { PathTable } from './path-table.ts';
import { CHUNK_BYTES, CHUNK_CHANGE_SETS, CHUNK_OPERATIONS } from './run-format.ts';
import type { Chunk } from './run-writer.ts';

/** Is told a touch: the number of its path in a table, and what `Touch` says. */
export type VisitTouch = (path: number, revision: number, operation: number, isDelete: boolean) => void;

/**
 * Tells all touches of a frame, in order. No value is made, and no text of a key.
 * @param paths takes their paths
 * @returns the chunks of the frame's body; empty for a frame that is read whole
 * @throws EvertreeError FORMAT_INVALID
 */
export function eachTouch(frame: Frame, paths: PathTable, visit: VisitTouch): Chunk[] {
  return finishSteps(touchesInSteps(frame, paths, visit));
}

/** The same with pauses: a commit may have a million operations. A JSON body is decoded in one step. */
export function touchesInSteps(frame: Frame, paths: PathTable, visit: VisitTouch): Generator<void, Chunk[]> {
  return frame.header.codec === 'json' ? jsonTouches(frame, paths, visit) : binaryTouches(frame, paths, visit);
}

/** Operations between two pauses. */
const STEP_OPERATIONS = 256;

function* jsonTouches(frame: Frame, paths: PathTable, visit: VisitTouch): Generator<void, Chunk[]> {
  for (const { revision, operations } of decodeFrame(frame).changeSets) {
    for (const [index, { type, path }] of operations.entries()) {
      let number = 0;
      for (const key of path) {
        const bytes = Buffer.from(key, 'utf8');
        number = paths.child(number, paths.segments.number(bytes, 0, bytes.length));
      }
      visit(number, revision, index, type === 'delete');
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
  }
  return [];
}

function* binaryTouches(frame: Frame, paths: PathTable, visit: VisitTouch): Generator<void, Chunk[]> {
  const { header } = frame;
  const body = frameBody(frame);
  const { segments } = paths;
  // By the numbers that the frame gives them.
  const nodes: number[] = [0, 0];
  const keys: number[] = [0];
  const scan = new BodyScan(body, { defined: (parent, key) => nodes.push(paths.child(nodes[parent]!, keyOf(key))) });
  const keyOf = (key: number) => (keys[key] ??= segments.number(body, scan.keys.start(key), scan.keys.end(key)));
  const cutter = new ChunkCutter(body, header.firstTime);
  scan.note(header);
  let { revision } = header.base;
  for (let left = header.count; left > 0; left--) {
    cutter.changeSet(scan.at);
    scan.changeSet();
    revision++;
    cutter.begun(scan.time);
    for (let index = 0; index < scan.operations; index++) {
      cutter.operation(scan.at, index, scan.operations - index);
      scan.operation();
      const path = scan.node === 0 ? 0 : paths.child(nodes[scan.node]!, keyOf(scan.key));
      visit(path, revision, index, scan.isDelete);
      if (scan.isLong) yield* scan.skipInSteps();
      else scan.skip();
      if (index % STEP_OPERATIONS === STEP_OPERATIONS - 1) yield;
    }
  }
  return cutter.finish();
}

/** Cuts the body of a frame into chunks. */
class ChunkCutter {
  readonly #body: Buffer;
  readonly #chunks: Chunk[] = [];
  /** Where the chunk begins, and what is in it so far. */
  #start = 0;
  #skipped = 0;
  #left = 0;
  #begun = 0;
  #operations = 0;
  #startTime: number;
  /** Of the last change set that began. */
  #time: number;

  constructor(body: Buffer, firstTime: number) {
    this.#body = body;
    this.#startTime = firstTime;
    this.#time = firstTime;
  }

  /** A change set comes at an offset of the body. */
  changeSet(at: number): void {
    if (this.#isFull(at)) this.#cut(at, 0, 0);
  }

  /** The head of the change set was read. */
  begun(time: number): void {
    this.#begun++;
    this.#time += time;
  }

  /** An operation comes; `index` operations of its change set are before it, and `left` with it come. */
  operation(at: number, index: number, left: number): void {
    if (index > 0 && this.#isFull(at)) this.#cut(at, index, left);
    this.#operations++;
  }

  /** @returns nothing if there would be one chunk */
  finish(): Chunk[] {
    if (this.#chunks.length === 0) return [];
    this.#cut(this.#body.length, 0, 0);
    return this.#chunks;
  }

  #isFull(at: number): boolean {
    return this.#begun >= CHUNK_CHANGE_SETS || this.#operations >= CHUNK_OPERATIONS || at - this.#start >= CHUNK_BYTES;
  }

  #cut(at: number, skipped: number, left: number): void {
    const bytes = this.#body.subarray(this.#start, at);
    this.#chunks.push({
      begun: this.#begun,
      skipped: this.#skipped,
      left: this.#left,
      bytes: bytes.length,
      time: this.#startTime,
      checksum: crc32(bytes),
    });
    this.#start = at;
    this.#skipped = skipped;
    this.#left = left;
    this.#begun = 0;
    this.#operations = 0;
    this.#startTime = this.#time;
  }
}
