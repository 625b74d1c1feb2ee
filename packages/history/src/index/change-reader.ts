import type { ChangeSet, Frame, Operation, Path, Turn, Value } from '@evertree/core';
import { BodyScan, decodeFrame, frameBody, ROOT } from '@evertree/core';
import type { FoundChange, Touch, TouchedValue } from '../change-index.ts';
import { insideOf } from '../paths.ts';
import { rowHolding } from './frame-rows.ts';
import { UnsoundRun } from './run-format.ts';
import type { RunFile } from './run-file.ts';
import type { Chunk, FrameRow } from './run-writer.ts';
import type { SegmentFiles } from './segment-files.ts';
import { BODY_OFFSET } from './segment-files.ts';
import { STEP_ITEMS } from '../step.ts';

/** With more touches of one change set than this the whole frame is read, and gone through once. */
const MANY_TOUCHES = 64;

/** What a change set says of itself. */
interface FoundHead {
  readonly time: number;
  readonly author: string | undefined;
  readonly message: string | undefined;
}

/** A chunk of the frame that was read last. */
interface ReadChunk {
  readonly index: number;
  readonly bytes: Buffer;
}

/**
 * Reads change sets where a run says that they are. It reads only the chunk with the wanted operation, unless the value
 * has keys that were spelled in another chunk. What it read last it keeps, for touches that are near one another.
 */
export class ChangeReader {
  readonly #files: SegmentFiles;
  readonly #turn: Turn;
  #run: RunFile | undefined;
  #row: FrameRow | undefined;
  #frame: Frame | undefined;
  #changeSets: readonly ChangeSet[] | undefined;
  #chunk: ReadChunk | undefined;
  /** Operations that it stepped over: many change sets have only one. */
  #stepped = 0;

  constructor(files: SegmentFiles, turn: Turn) {
    this.#files = files;
    this.#turn = turn;
  }

  /**
   * @param touches of one change set
   * @throws UnsoundRun where the segments don't hold what the run says
   */
  async read(run: RunFile, touches: readonly Touch[]): Promise<FoundChange> {
    const { revision } = touches[0]!;
    const row = await this.#find(run, revision);
    const ordinal = revision - row.base - 1;
    if (touches.length > MANY_TOUCHES) return this.#readMany(run, touches, ordinal);
    const values: TouchedValue[] = [];
    let head: FoundHead | undefined;
    for (const touch of touches) {
      const found =
        row.chunks.length === 0 ? await this.#readWhole(ordinal, touch.operation) : await this.#readChunk(ordinal, touch.operation);
      head = found.head;
      values.push({ touch, value: found.value });
    }
    return { position: { epoch: epochAt(run, revision), revision }, ...head!, touches: values };
  }

  /** Goes once through the change set, instead of looking for each operation from the beginning of its chunk or frame. */
  async #readMany(run: RunFile, touches: readonly Touch[], ordinal: number): Promise<FoundChange> {
    const frame = await this.#wholeFrame();
    const { revision } = touches[0]!;
    const position = { epoch: epochAt(run, revision), revision };
    if (frame.header.codec === 'json') {
      const { time, author, message, operations } = this.#changeSetsOf(frame)[ordinal]!;
      return { position, time, author, message, touches: await this.#valuesIn(touches, async index => jsonValue(operations[index]!)) };
    }
    const { head, scan } = await this.#headIn(frame, ordinal);
    let next = 0;
    const valueOf = async (operation: number): Promise<Value | undefined> => {
      if (operation > next) await this.#stepOver(scan, operation - next);
      scan.operation();
      next = operation + 1;
      return scan.isContainer ? this.#turn.run(scan.valueInSteps()) : scan.isDelete ? undefined : scan.value();
    };
    const inOrder = touches.toSorted((a, b) => a.operation - b.operation);
    return { position, ...head, touches: await this.#valuesIn(inOrder, valueOf) };
  }

  async #valuesIn(touches: readonly Touch[], valueOf: (operation: number) => Promise<Value | undefined>): Promise<TouchedValue[]> {
    const values: TouchedValue[] = [];
    for (const touch of touches) {
      values.push({ touch, value: await valueOf(touch.operation) });
      if (values.length % STEP_ITEMS === 0) await this.#turn.breathe();
    }
    return values;
  }

  /** What a touch left at a path below its own: the rest of its value is not made. Throws as `read`. */
  async valueAt(run: RunFile, { revision, operation }: Touch, inside: Path): Promise<Value | undefined> {
    const row = await this.#find(run, revision);
    const ordinal = revision - row.base - 1;
    const found =
      row.chunks.length === 0 ? await this.#readWhole(ordinal, operation, inside) : await this.#readChunk(ordinal, operation, inside);
    return found.value;
  }

  /** The commit time of a change set. Throws as `read`. */
  async timeOf(run: RunFile, revision: number): Promise<number> {
    const row = await this.#find(run, revision);
    const ordinal = revision - row.base - 1;
    if (row.chunks.length > 0) return (await this.#readHead(placeOf(row.chunks, ordinal, 0), ordinal)).head.time;
    const frame = await this.#wholeFrame();
    if (ordinal === row.count - 1) return frame.header.lastTime;
    if (frame.header.codec === 'json') return this.#changeSetsOf(frame)[ordinal]!.time;
    return (await this.#headIn(frame, ordinal)).head.time;
  }

  async #find(run: RunFile, revision: number): Promise<FrameRow> {
    const known = this.#run === run ? this.#row : undefined;
    if (known !== undefined && known.base < revision && revision <= known.base + known.count) return known;
    const row = await rowHolding(run, revision);
    if (row === undefined) throw new UnsoundRun(run.path, `it has no frame with the revision ${revision}`);
    this.#run = run;
    this.#row = row;
    this.#frame = undefined;
    this.#changeSets = undefined;
    this.#chunk = undefined;
    return row;
  }

  async #readWhole(ordinal: number, operation: number, inside: Path = ROOT): Promise<FoundValue> {
    const frame = await this.#wholeFrame();
    if (frame.header.codec === 'json') {
      const { time, author, message, operations } = this.#changeSetsOf(frame)[ordinal]!;
      const found = operations[operation]!;
      return { head: { time, author, message }, value: found.type === 'put' ? insideOf(found.value, inside) : undefined };
    }
    const { head, scan } = await this.#headIn(frame, ordinal);
    await this.#stepOver(scan, operation);
    scan.operation();
    return { head, value: scan.isDelete ? undefined : (await this.#turn.run(valueIn(scan, inside)))!.value };
  }

  #changeSetsOf(frame: Frame): readonly ChangeSet[] {
    return (this.#changeSets ??= decodeFrame(frame).changeSets);
  }

  async #headIn({ header, bytes }: Frame, ordinal: number): Promise<{ readonly head: FoundHead; readonly scan: BodyScan }> {
    const scan = new BodyScan(frameBody({ header, bytes }));
    scan.note(header);
    return { head: await this.#headOf(scan, header.firstTime, ordinal), scan };
  }

  /**
   * Reads the head of a change set.
   * @param time of the change set before, or of the frame
   * @param steps change sets before it
   */
  async #headOf(scan: BodyScan, time: number, steps: number): Promise<FoundHead> {
    let at = time;
    for (let left = steps; ; left--) {
      scan.changeSet();
      at += scan.time;
      if (left === 0) return { time: at, author: scan.author, message: scan.message };
      await this.#stepOver(scan, scan.operations);
    }
  }

  /** Steps over operations; a large value is many steps. */
  async #stepOver(scan: BodyScan, operations: number): Promise<void> {
    for (let left = operations; left > 0; left--) {
      scan.operation();
      const isLarge = scan.isLong;
      if (isLarge) for (const _ of scan.skipInSteps()) if (this.#turn.over) await this.#turn.rest();
      if (!isLarge) scan.skip();
      if ((isLarge || ++this.#stepped % STEP_ITEMS === 0) && this.#turn.over) await this.#turn.rest();
    }
  }

  async #readChunk(ordinal: number, operation: number, inside: Path = ROOT): Promise<FoundValue> {
    const { chunks } = this.#row!;
    const headIn = placeOf(chunks, ordinal, 0);
    const wantedIn = placeOf(chunks, ordinal, operation);
    const { head, scan } = await this.#readHead(headIn, ordinal);
    let at = scan;
    let before = operation;
    if (wantedIn.index !== headIn.index) {
      at = partScan(await this.#bytesOf(wantedIn), wantedIn);
      before = operation - chunks[wantedIn.index]!.skipped;
    }
    await this.#stepOver(at, before);
    at.operation();
    if (at.isDelete) return { head, value: undefined };
    const found = await this.#turn.run(valueIn(at, inside));
    return found === undefined ? this.#readWhole(ordinal, operation, inside) : { head, value: found.value };
  }

  async #readHead(place: ChunkPlace, ordinal: number): Promise<{ head: FoundHead; scan: BodyScan }> {
    const chunk = this.#row!.chunks[place.index]!;
    const scan = partScan(await this.#bytesOf(place), place);
    await this.#stepOver(scan, chunk.left);
    return { head: await this.#headOf(scan, chunk.time, ordinal - place.ordinal), scan };
  }

  async #bytesOf({ index, offset }: ChunkPlace): Promise<Buffer> {
    if (this.#chunk?.index === index) return this.#chunk.bytes;
    const row = this.#row!;
    const { bytes: length, checksum } = row.chunks[index]!;
    const { name } = this.#run!.description.segments[row.segment]!;
    const bytes = await this.#files.chunk(name, row.offset + BODY_OFFSET + offset, length, checksum);
    if (bytes === undefined) throw new UnsoundRun(this.#run!.path, `${name} does not hold at offset ${row.offset} what it says`);
    this.#chunk = { index, bytes };
    return bytes;
  }

  async #wholeFrame(): Promise<Frame> {
    if (this.#frame !== undefined) return this.#frame;
    const row = this.#row!;
    const segment = this.#run!.description.segments[row.segment]!;
    const frame = await this.#files.frame(segment, row.offset, row.length);
    if (frame === undefined || frame.header.base.revision !== row.base) {
      throw new UnsoundRun(this.#run!.path, `${segment.name} does not hold at offset ${row.offset} what it says`);
    }
    return (this.#frame = frame);
  }
}

function jsonValue(operation: Operation): Value | undefined {
  return operation.type === 'put' ? operation.value : undefined;
}

interface FoundValue {
  readonly head: FoundHead;
  readonly value: Value | undefined;
}

/** What is at a path in the value of an operation; undefined if that has a key that was spelled in another chunk. */
function* valueIn(scan: BodyScan, inside: Path): Generator<void, { readonly value: Value | undefined } | undefined> {
  const keys = inside.map(key => Buffer.from(key, 'utf8'));
  const entered = yield* scan.descend(keys);
  if (entered === undefined) return undefined;
  // A key with a lone surrogate is none of the tree's.
  if (entered < 0 || !inside.every(key => key.isWellFormed())) return { value: undefined };
  const value = yield* scan.valueInSteps();
  return value === undefined ? undefined : { value: insideOf(value, inside.slice(entered)) };
}

interface ChunkPlace {
  readonly index: number;
  /** Of its first byte in the body. */
  readonly offset: number;
  /** Of the first change set that begins in it. */
  readonly ordinal: number;
}

/** The chunk with an operation of a change set; for the operation 0, with the head of the change set. */
function placeOf(chunks: readonly Chunk[], ordinal: number, operation: number): ChunkPlace {
  let found: ChunkPlace = { index: 0, offset: 0, ordinal: 0 };
  let offset = 0;
  let begun = 0;
  for (const [index, chunk] of chunks.entries()) {
    const begins = chunk.skipped > 0 ? begun - 1 : begun;
    if (begins > ordinal || (begins === ordinal && chunk.skipped > operation)) break;
    found = { index, offset, ordinal: begun };
    offset += chunk.bytes;
    begun += chunk.begun;
  }
  return found;
}

function partScan(bytes: Buffer, { offset }: ChunkPlace): BodyScan {
  return new BodyScan(bytes, { isPart: offset > 0 });
}

function epochAt(run: RunFile, revision: number): number {
  return run.description.epochs.findLast(({ after }) => after < revision)!.number;
}
