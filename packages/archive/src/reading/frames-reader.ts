import {
  type ExactPosition,
  EvertreeError,
  formatExactPosition,
  formatPosition,
  type Frame,
  frameHash,
  frameLength,
  type NetChanges,
  NO_CHAIN,
  ORIGIN,
  parseFrame,
  samePosition,
} from '@evertree/core';
import { damagedObject } from '../format/checked.ts';
import type { RevisionSpan } from '../format/gathering.ts';
import { releaseMemory } from '../format/memory.ts';
import type { FramesHeader } from '../format/object-header.ts';
import { OBJECT_PLAIN_BYTES } from '../format/sealed-object.ts';
import type { FramesEntry } from './line-history.ts';
import type { ObjectSource } from './object-source.ts';
import { prefetch } from './prefetch.ts';

/** Stored objects that are fetched ahead. One of them is open. */
const OBJECTS_AHEAD = { items: 4, bytes: OBJECT_PLAIN_BYTES, bytesOf: ({ bytes }: FramesEntry) => bytes };

/** Where a history ends: the next frame follows both. */
export interface ChainEnd {
  readonly position: ExactPosition;
  readonly chain: string;
}

/** A frame as a restore reads it. */
export interface GatheredFrame {
  readonly frame: Frame;
  /** What it changes is in `changes`, its own or those of a frame that follows. */
  readonly isGathered: boolean;
  readonly changes: NetChanges | undefined;
}

/** An object with frames that was opened. */
interface OpenedFrames {
  readonly entry: FramesEntry;
  readonly payload: Buffer;
  readonly changes?: NetChanges | undefined;
}

/** An object whose frames were asked for altogether. */
interface KeptFrames {
  readonly opened: OpenedFrames;
  readonly frames: readonly Frame[];
  /** What they change is gathered up to this revision; undefined if it is not. */
  readonly upTo: number | undefined;
}

/** Reads the frames of objects, and checks that they are what was archived: each follows the one before. */
export class FramesReader {
  readonly #source: ObjectSource;
  readonly #stream: string;
  readonly #line: string;
  /** What `all` gave last: whoever looks for a moment mostly asks for that object again, and then reads up to the moment. */
  #kept: KeptFrames | undefined;

  constructor(source: ObjectSource, stream: string, line: string) {
    this.#source = source;
    this.#stream = stream;
    this.#line = line;
  }

  /**
   * The frames after an image or the end of another object, or from the origin on, up to the one that holds a revision.
   * @param entries the objects that hold them; frames before the start are read over
   * @throws EvertreeError DAMAGED with the object, FORMAT_UNSUPPORTED, IDENTITY_NEEDED
   */
  async *frames(start: ChainEnd | undefined, entries: readonly FramesEntry[], end: number): AsyncGenerator<Frame> {
    for await (const { frame } of this.#frames(start, entries, end, undefined)) yield frame;
  }

  /**
   * The same, and tells what the frames of an object change altogether, where it can. The memory of these frames is given
   * back when the frame behind them is asked for: nothing may hold them then.
   */
  gathered(start: ChainEnd | undefined, entries: readonly FramesEntry[], end: number): AsyncGenerator<GatheredFrame> {
    return this.#frames(start, entries, end, { after: start?.position.revision ?? 0, upTo: end });
  }

  async *#frames(
    start: ChainEnd | undefined,
    entries: readonly FramesEntry[],
    end: number,
    span: RevisionSpan | undefined,
  ): AsyncGenerator<GatheredFrame> {
    let at: ChainEnd = start ?? { position: ORIGIN, chain: NO_CHAIN };
    for await (const { entry, payload, changes: gathered } of this.#opened(entries, span)) {
      // Those of frames that were read before, in another object, were gathered here, too.
      const isNext = Math.max(entry.base.revision, span?.after ?? 0) === at.position.revision;
      const changes = isNext ? gathered : undefined;
      for (const { frame, chain } of this.#checked(entry, payload)) {
        if (at.position.revision >= end) return;
        const { revision } = frame.header.last;
        if (revision <= at.position.revision) continue;
        assertNext(entry.path, frame, at);
        yield {
          frame,
          isGathered: changes !== undefined && revision <= changes.last,
          changes: changes?.last === revision ? changes : undefined,
        };
        at = { position: frame.header.last, chain: chain() };
      }
      if (changes !== undefined) releaseMemory(payload);
    }
    if (at.position.revision < end) {
      throw new EvertreeError('DAMAGED', `the frames that were planned end at ${formatPosition(at.position)}`, { position: at.position });
    }
  }

  /**
   * All frames of one object. They are valid until the object is read otherwise.
   * @param upTo the revision up to which they are likely to be read next: then the object is not opened a second time
   * @throws EvertreeError DAMAGED, FORMAT_UNSUPPORTED, IDENTITY_NEEDED
   */
  async all(entry: FramesEntry, upTo?: number): Promise<readonly Frame[]> {
    if (this.#kept?.opened.entry === entry) return this.#kept.frames;
    this.#kept = undefined;
    const span = upTo === undefined ? undefined : { after: entry.base.revision, upTo };
    const opened = await this.#open(entry, await this.#source.load(entry), span);
    const frames = [...this.#checked(entry, opened.payload)].map(({ frame }) => frame);
    this.#kept = { opened, frames, upTo };
    return frames;
  }

  /** What `all` opened, if it was opened for this. Whoever takes it gives its memory back, so that it is given once. */
  #takeKept(entry: FramesEntry, span: RevisionSpan | undefined): OpenedFrames | undefined {
    const kept = this.#kept;
    if (kept?.opened.entry !== entry) return undefined;
    this.#kept = undefined;
    const isOpenedFor = span !== undefined && span.upTo === kept.upTo && span.after <= entry.base.revision;
    return isOpenedFor ? kept.opened : undefined;
  }

  /** Opens an object when the one before was read: what two take at once is more than what is gained by opening ahead. */
  async *#opened(entries: readonly FramesEntry[], span: RevisionSpan | undefined): AsyncGenerator<OpenedFrames> {
    const load = async (entry: FramesEntry) => this.#takeKept(entry, span) ?? { entry, stored: await this.#source.load(entry) };
    for await (const loaded of prefetch(entries, OBJECTS_AHEAD, load)) {
      yield 'payload' in loaded ? loaded : await this.#open(loaded.entry, loaded.stored, span);
    }
  }

  async #open(entry: FramesEntry, stored: Buffer, span?: RevisionSpan): Promise<OpenedFrames> {
    const opened = await this.#source.open(stored, entry, span);
    if (opened.kind !== 'frames' || opened.header.line !== this.#line) {
      throw damagedObject(entry.path, 'it is of another line, or of another kind, than the manifest says');
    }
    assertSame(entry, opened.header);
    return { entry, payload: opened.payload, changes: opened.changes };
  }

  /**
   * The frames of a payload, each compared with the one before, and all together with what the manifest says. A caller
   * that stops early leaves the rest unread.
   */
  *#checked(entry: FramesEntry, payload: Buffer): Generator<{ readonly frame: Frame; readonly chain: () => string }> {
    let at: ChainEnd = { position: entry.base, chain: entry.previous };
    let commits = 0;
    let digest = '';
    let time = entry.firstTime;
    const marks: number[] = [];
    for (let offset = 0; offset < payload.length;) {
      const frame = frameAt(payload, offset, entry.path);
      const { header } = frame;
      if (header.stream !== this.#stream) throw damagedObject(entry.path, `a frame is of the stream ${header.stream}`);
      if (offset === 0 && header.firstTime !== entry.firstTime) throw damagedObject(entry.path, 'its first time is not that of its frames');
      assertNext(entry.path, frame, at);
      let hash: string | undefined;
      const chain = (): string => (hash ??= frameHash(frame));
      yield { frame, chain };
      at = { position: header.last, chain: chain() };
      commits += header.count;
      ({ digest, lastTime: time } = header);
      if (header.isMark) marks.push(header.last.revision);
      offset += frame.bytes.length;
    }
    const isWhole = samePosition(at.position, entry.last) && at.chain === entry.chain && digest === entry.digest;
    const isCounted = commits === entry.commits && time === entry.lastTime && marks.join() === entry.marks.join();
    if (isWhole && isCounted) return;
    const found = `its frames end at ${formatExactPosition(at.position)} with the digest ${digest}`;
    throw damagedObject(
      entry.path,
      `${found}, where it says ${formatExactPosition(entry.last)} and ${entry.digest}, or their number, times or marks differ`,
    );
  }
}

function frameAt(payload: Buffer, offset: number, path: string): Frame {
  try {
    return parseFrame(payload.subarray(offset, offset + frameLength(payload.subarray(offset))));
  } catch (error) {
    throw damagedObject(path, `at ${offset} of its frames ${(error as Error).message}`, { offset }, error);
  }
}

function assertNext(path: string, { header }: Frame, at: ChainEnd): void {
  if (samePosition(header.base, at.position) && header.previous === at.chain) return;
  const gap = header.base.revision - at.position.revision;
  const lack = gap > 0 ? `${gap} commits are missing` : 'it is of another history';
  throw damagedObject(
    path,
    `a frame follows ${formatExactPosition(header.base)}, where the one before ends at ${formatExactPosition(at.position)}: ${lack}`,
    {
      expected: at.position,
      found: header.base,
    },
  );
}

function assertSame(entry: FramesEntry, header: FramesHeader): void {
  for (const key of ['base', 'last', 'firstTime', 'lastTime', 'commits', 'plainBytes', 'previous', 'chain', 'digest', 'marks'] as const) {
    const [said, found] = [JSON.stringify(entry[key]), JSON.stringify(header[key])];
    if (said === found) continue;
    throw damagedObject(entry.path, `its header has ${found} for "${key}", where the manifest says ${said}`, { key });
  }
}
