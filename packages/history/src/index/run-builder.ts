import { crc32 } from 'node:zlib';
import type { DiskFile, ExactPosition, Frame } from '@evertree/core';
import { BodyScan, decodeFrame, frameBody } from '@evertree/core';
import { PathTable } from './path-table.ts';
import type { RunEpoch, RunSegment } from './run-format.ts';
import { CHUNK_BYTES, CHUNK_CHANGE_SETS, CHUNK_OPERATIONS } from './run-format.ts';
import type { Chunk, FrameRow } from './run-writer.ts';
import { RunWriter } from './run-writer.ts';

/** Where a frame was read. */
export interface FramePlace {
  readonly segment: Omit<RunSegment, 'offset'>;
  /** Of its record. */
  readonly offset: number;
  /** Of its record. */
  readonly length: number;
}

/** Gathers the touches of frames that follow one another, and makes a run of them. */
export class RunBuilder {
  readonly base: ExactPosition;
  readonly #stream: string;
  readonly #generation: number;
  readonly #paths = new PathTable();
  readonly #touches = new TouchTable();
  readonly #segments: RunSegment[] = [];
  readonly #epochs: RunEpoch[];
  readonly #rows: FrameRow[] = [];
  #last: ExactPosition;

  constructor(range: { readonly stream: string; readonly generation: number; readonly base: ExactPosition }) {
    this.base = range.base;
    this.#last = range.base;
    this.#stream = range.stream;
    this.#generation = range.generation;
    this.#epochs = [{ after: range.base.revision, number: range.base.epoch }];
  }

  get last(): ExactPosition {
    return this.#last;
  }

  /** Change sets so far. */
  get changeSets(): number {
    return this.#last.revision - this.base.revision;
  }

  /** Operations so far. */
  get operations(): number {
    return this.#touches.count;
  }

  /**
   * Takes the next frame.
   * @throws EvertreeError FORMAT_INVALID
   */
  add(frame: Frame, { segment, offset, length }: FramePlace): void {
    const { base, last, count } = frame.header;
    if (this.#segments.at(-1)?.name !== segment.name) this.#segments.push({ ...segment, offset });
    if (this.#epochs.at(-1)!.number !== last.epoch) this.#epochs.push({ after: base.revision, number: last.epoch });
    const chunks = frame.header.codec === 'json' ? this.#addJson(frame) : this.#addBinary(frame);
    this.#rows.push({ base: base.revision, count, segment: this.#segments.length - 1, offset, length, chunks });
    this.#last = last;
  }

  /** Writes the run. @returns its length */
  async write(file: Pick<DiskFile, 'write'>): Promise<number> {
    const range = {
      stream: this.#stream,
      generation: this.#generation,
      base: this.base,
      segments: this.#segments,
      epochs: this.#epochs,
    };
    const writer = new RunWriter(file, range);
    this.#touches.writeTo(writer, this.#paths, this.base.revision);
    for (const row of this.#rows) writer.frame(row);
    return writer.finish(this.#last);
  }

  #addJson(frame: Frame): Chunk[] {
    const { segments } = this.#paths;
    for (const { revision, operations } of decodeFrame(frame).changeSets) {
      for (const [index, { type, path }] of operations.entries()) {
        let number = 0;
        for (const key of path) {
          const bytes = Buffer.from(key, 'utf8');
          number = this.#paths.child(number, segments.number(bytes, 0, bytes.length));
        }
        this.#touches.add(number, revision - this.base.revision, index, type === 'delete');
      }
    }
    return [];
  }

  #addBinary(frame: Frame): Chunk[] {
    const { header } = frame;
    const body = frameBody(frame);
    const paths = this.#paths;
    const { segments } = paths;
    // By the numbers that the frame gives them.
    const nodes: number[] = [0, 0];
    const keys: number[] = [0];
    const scan = new BodyScan(body, { defined: (parent, key) => nodes.push(paths.child(nodes[parent]!, keyOf(key))) });
    const keyOf = (key: number) => (keys[key] ??= segments.number(body, scan.keyStarts[key]!, scan.keyEnds[key]!));
    const cutter = new ChunkCutter(body, header.firstTime);
    scan.note(header);
    let revision = header.base.revision - this.base.revision;
    for (let left = header.count; left > 0; left--) {
      cutter.changeSet(scan.at);
      scan.changeSet();
      revision++;
      cutter.begun(scan.time);
      for (let index = 0; index < scan.operations; index++) {
        cutter.operation(scan.at, index, scan.operations - index);
        scan.operation();
        const path = scan.node === 0 ? 0 : paths.child(nodes[scan.node]!, keyOf(scan.key));
        this.#touches.add(path, revision, index, scan.isDelete);
        scan.skip();
      }
    }
    return cutter.finish();
  }
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

const FIRST_TOUCHES = 4_096;

/** Touches in the order of the history, in columns. */
class TouchTable {
  count = 0;
  #paths = new Uint32Array(FIRST_TOUCHES);
  /** Less the revision of the run's base. */
  #revisions = new Float64Array(FIRST_TOUCHES);
  /** Twice the operation's number in its change set, plus 1 for a delete. */
  #operations = new Float64Array(FIRST_TOUCHES);

  add(path: number, revision: number, operation: number, isDelete: boolean): void {
    if (this.count === this.#paths.length) this.#grow();
    this.#paths[this.count] = path;
    this.#revisions[this.count] = revision;
    this.#operations[this.count++] = operation * 2 + (isDelete ? 1 : 0);
  }

  writeTo(writer: RunWriter, paths: PathTable, base: number): void {
    // A counting sort: where the touches of each path begin, then each touch at its place.
    const starts = new Uint32Array(paths.count + 1);
    for (let touch = 0; touch < this.count; touch++) starts[this.#paths[touch]! + 1]!++;
    for (let path = 0; path < paths.count; path++) starts[path + 1]! += starts[path]!;
    const next = starts.slice();
    const order = new Uint32Array(this.count);
    for (let touch = 0; touch < this.count; touch++) order[next[this.#paths[touch]!]!++] = touch;
    paths.forEachInOrder((path, key, length) => {
      const end = starts[path + 1]!;
      if (starts[path] === end) return;
      writer.path(key, length);
      for (let at = starts[path]!; at < end; at++) {
        const touch = order[at]!;
        const operation = this.#operations[touch]!;
        const isDelete = operation % 2;
        writer.posting(base + this.#revisions[touch]!, (operation - isDelete) / 2, isDelete === 1);
      }
    });
  }

  #grow(): void {
    const length = this.#paths.length * 2;
    const grown = { paths: new Uint32Array(length), revisions: new Float64Array(length), operations: new Float64Array(length) };
    grown.paths.set(this.#paths);
    grown.revisions.set(this.#revisions);
    grown.operations.set(this.#operations);
    this.#paths = grown.paths;
    this.#revisions = grown.revisions;
    this.#operations = grown.operations;
  }
}
