import type { DiskFile, ExactPosition, Frame } from '@evertree/core';
import { eachTouch, type VisitTouch } from './frame-touches.ts';
import { PathTable } from './path-table.ts';
import type { RunEpoch, RunSegment } from './run-format.ts';
import type { FrameRow } from './run-writer.ts';
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
  readonly #add: VisitTouch = (path, revision, operation, isDelete) =>
    this.#touches.add(path, revision - this.base.revision, operation, isDelete);

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
    const chunks = eachTouch(frame, this.#paths, this.#add);
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
