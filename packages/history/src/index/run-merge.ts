import type { DiskFile } from '@evertree/core';
import { compareKeys } from './path-key.ts';
import type { RunSegment } from './run-format.ts';
import type { RunFile } from './run-file.ts';
import { rowsOf } from './frame-rows.ts';
import { RunWriter } from './run-writer.ts';
import { TouchCursor } from './touch-cursor.ts';

/** Gives others a turn; called often. */
export type Breathe = () => Promise<void> | undefined;

/**
 * Writes one run with the content of several, each of which goes on where the one before ends: byte for byte what would
 * have been made of their frames at once. Reads them in order and holds a block of each.
 * @returns its length
 * @throws UnsoundRun
 */
export async function mergeRuns(runs: readonly RunFile[], file: Pick<DiskFile, 'write'>, breathe: Breathe): Promise<number> {
  const first = runs[0]!.description;
  const segments = joinSegments(runs);
  const epochs = runs.flatMap(({ description }) => description.epochs);
  const range = {
    stream: first.stream,
    generation: first.generation,
    base: first.base,
    segments,
    epochs: epochs.filter(({ number }, index) => number !== epochs[index - 1]?.number),
  };
  const writer = new RunWriter(file, range);
  await mergeTouches(runs, writer, breathe);
  for (const run of runs) {
    const numbers = run.description.segments.map(({ name }) => segments.findIndex(segment => segment.name === name));
    for await (const row of rowsOf(run)) {
      writer.frame({ ...row, segment: numbers[row.segment]! });
      if (writer.isFull) await writer.flush();
      await breathe();
    }
  }
  return writer.finish(runs.at(-1)!.description.last);
}

function joinSegments(runs: readonly RunFile[]): RunSegment[] {
  const joined: RunSegment[] = [];
  for (const segment of runs.flatMap(({ description }) => description.segments)) {
    if (joined.at(-1)?.name !== segment.name) joined.push(segment);
  }
  return joined;
}

/** One of the runs that are merged. */
interface MergeInput {
  readonly cursor: TouchCursor;
  /** Its place among the runs: an older run's touches come first. */
  readonly age: number;
}

async function mergeTouches(runs: readonly RunFile[], writer: RunWriter, breathe: Breathe): Promise<void> {
  const heap: MergeInput[] = [];
  for (const [age, run] of runs.entries()) {
    const input = { cursor: new TouchCursor(run), age };
    if (await input.cursor.advance()) push(heap, input);
  }
  const posting = (revision: number, operation: number, isDelete: boolean) => writer.posting(revision, operation, isDelete);
  for (let entries = 1; heap.length > 0; entries++) {
    const { cursor } = heap[0]!;
    if (entries === 1 || !writer.isPath(cursor.key, cursor.keyLength)) writer.path(cursor.key, cursor.keyLength);
    cursor.forEach(posting);
    if (cursor.next() || (await cursor.advance())) sink(heap, 0);
    else removeTop(heap);
    if (writer.isFull) await writer.flush();
    if (entries % 64 === 0) await breathe();
  }
}

function isBefore(a: MergeInput, b: MergeInput): boolean {
  const order = compareKeys(a.cursor.key, a.cursor.keyLength, b.cursor.key, b.cursor.keyLength);
  return order === 0 ? a.age < b.age : order < 0;
}

function push(heap: MergeInput[], input: MergeInput): void {
  let at = heap.push(input) - 1;
  while (at > 0) {
    const parent = (at - 1) >>> 1;
    if (!isBefore(heap[at]!, heap[parent]!)) return;
    swap(heap, at, parent);
    at = parent;
  }
}

function removeTop(heap: MergeInput[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  heap[0] = last;
  sink(heap, 0);
}

function sink(heap: MergeInput[], from: number): void {
  for (let at = from; ;) {
    const child = 2 * at + 1;
    let least = at;
    if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[least]!)) least = child + 1;
    if (least === at) return;
    swap(heap, at, least);
    at = least;
  }
}

function swap(heap: MergeInput[], a: number, b: number): void {
  const held = heap[a]!;
  heap[a] = heap[b]!;
  heap[b] = held;
}
