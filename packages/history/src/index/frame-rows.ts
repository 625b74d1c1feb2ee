import type { RunBlock } from './run-block.ts';
import { BodyReader } from './run-block.ts';
import type { BlockPlace, RunSegment } from './run-format.ts';
import type { RunFile } from './run-file.ts';
import type { Chunk, FrameRow } from './run-writer.ts';

const NO_KEY = new Uint8Array();

/** The frame with the change set of a revision that the run covers; undefined for other revisions. @throws UnsoundRun */
export async function rowHolding(run: RunFile, revision: number): Promise<FrameRow | undefined> {
  const { frames, segments } = run.description;
  if (frames === undefined) return undefined;
  let block = run.cached(frames) ?? (await run.load(frames));
  while (block.height > 0) {
    const below = block.entries[Math.max(0, block.search(NO_KEY, 0, revision - 1 - run.after))]!;
    block = run.cached(below) ?? (await run.load(below));
  }
  const rows = new RowReader(block, run.after, segments);
  while (rows.next()) if (rows.base + rows.count >= revision) return rows.base < revision ? rows.row() : undefined;
  return undefined;
}

/** All frames of a run, in order. @throws UnsoundRun */
export async function* rowsOf(run: RunFile): AsyncGenerator<FrameRow, void, undefined> {
  for await (const leaf of leavesOf(run, run.description.frames)) {
    const rows = new RowReader(leaf, run.after, run.description.segments);
    while (rows.next()) yield rows.row();
  }
}

/** The leaves of a tree of blocks, in order. @throws UnsoundRun */
export async function* leavesOf(run: RunFile, root: BlockPlace | undefined): AsyncGenerator<RunBlock, void, undefined> {
  const places = root === undefined ? [] : [root];
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const block = await run.load(place);
    if (block.height === 0) yield block;
    else places.push(...block.entries.toReversed());
  }
}

/**
 * The frames of a run that have change sets in a range of revisions, the newest first.
 * @throws UnsoundRun
 */
export async function* rowsBackward(
  run: RunFile,
  { after, upTo }: { readonly after: number; readonly upTo: number },
): AsyncGenerator<FrameRow, void, undefined> {
  const { frames, segments } = run.description;
  const places: BlockPlace[] = frames === undefined ? [] : [frames];
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const block = run.cached(place) ?? (await run.load(place));
    if (block.height > 0) {
      places.push(...block.entries.filter(({ revision }) => run.after + revision < upTo));
      continue;
    }
    const rows: FrameRow[] = [];
    const reader = new RowReader(block, run.after, segments);
    while (reader.next()) if (reader.base < upTo && reader.base + reader.count > after) rows.push(reader.row());
    yield* rows.toReversed();
    if (reader.base <= after) return;
  }
}

/** Reads the frames of a leaf, one after the other. */
class RowReader {
  base: number;
  count = 0;
  #segment: number;
  /** Of the next record. */
  #offset: number;
  #length = 0;
  #chunks: readonly Chunk[] = [];
  readonly #reader: BodyReader;
  readonly #segments: readonly RunSegment[];

  constructor(leaf: RunBlock, after: number, segments: readonly RunSegment[]) {
    this.#reader = new BodyReader(leaf.body, 1);
    this.#segments = segments;
    this.base = after + this.#reader.varint();
    this.#segment = this.#reader.varint();
    this.#offset = this.#reader.varint();
  }

  /** Moves to the next frame. */
  next(): boolean {
    const reader = this.#reader;
    if (reader.isAtEnd) return false;
    this.base += this.count;
    this.#offset += this.#length;
    const following = this.#segments[this.#segment + 1];
    if (following !== undefined && following.base === this.base) {
      this.#segment++;
      this.#offset = following.offset;
    }
    const head = reader.varint();
    this.count = Math.floor(head / 2);
    this.#length = reader.varint();
    this.#chunks = head % 2 === 1 ? this.#readChunks() : [];
    return true;
  }

  row(): FrameRow {
    const { base, count } = this;
    return { base, count, segment: this.#segment, offset: this.#offset, length: this.#length, chunks: this.#chunks };
  }

  #readChunks(): Chunk[] {
    const reader = this.#reader;
    let time = reader.varint();
    const chunks: Chunk[] = [];
    for (let more = reader.varint(); more > 0; more--) {
      const begun = reader.varint();
      const skipped = reader.varint();
      const left = skipped > 0 ? reader.varint() : 0;
      const bytes = reader.varint();
      time += reader.varint();
      const checksum = reader.body.readUInt32LE(reader.at);
      reader.at += 4;
      chunks.push({ begun, skipped, left, bytes, time, checksum });
    }
    return chunks;
  }
}
