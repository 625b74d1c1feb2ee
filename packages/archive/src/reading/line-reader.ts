import { EvertreeError, type Frame, type HistoryHead, type StoredSnapshot } from '@evertree/core';
import { parseTime, parseWhen, type When, type WhenLike } from '@evertree/history';
import type { ImageEntry } from '../format/manifest.ts';
import { type ChainEnd, FramesReader, type GatheredFrame } from './frames-reader.ts';
import { ImageReader, type ReadPart } from './image-reader.ts';
import { type FramesEntry, type LineHistory, type Restorable, withoutObjects } from './line-history.ts';
import { tablesAt } from './line-tables.ts';
import { type ArchivedMoment, MomentFinder } from './moments.ts';
import { withNearest } from './nearest-error.ts';
import type { ObjectSource } from './object-source.ts';

export interface MomentOptions {
  /** Keys of objects that are known to be damaged or missing: the moment is looked for without them. */
  readonly without?: ReadonlySet<string>;
  /** The present, milliseconds since 1970: what a text such as `-10m` is relative to. */
  readonly now?: number;
}

/** The frames of a line between two states. */
export interface LineSpan {
  /** What comes before; undefined for the origin. */
  readonly after: ChainEnd | undefined;
  /** The objects that hold them. */
  readonly entries: readonly FramesEntry[];
  /** The revision up to which they are read. */
  readonly end: number;
}

/** Reads one line of an archive. Errors about damaged objects name the states that can be restored without them. */
export class LineReader {
  readonly #line: LineHistory;
  readonly #frames: FramesReader;
  readonly #images: ImageReader;

  constructor(source: ObjectSource, stream: string, line: LineHistory) {
    this.#line = line;
    this.#frames = new FramesReader(source, stream, line.id);
    this.#images = new ImageReader(source, stream, line.id);
  }

  /** @throws EvertreeError NOT_FOUND, COMPACTED, POSITION_MISMATCH, HISTORY_MISMATCH, VALUE_INVALID, and what reading throws */
  moment(when: WhenLike | undefined, { without, now }: MomentOptions): Promise<ArchivedMoment> {
    const { states } = without === undefined ? this.#line : withoutObjects(this.#line, without);
    const finder = new MomentFinder(states, this.#frames, this.#images);
    return this.#guarded(undefined, () => find(finder, when, now));
  }

  /** The table of epochs and the marks at the end of some states, by default the newest. */
  async tables(
    states: Pick<Restorable, 'images' | 'stretches' | 'to'> | undefined = this.#line.states.at(-1),
  ): Promise<Pick<HistoryHead, 'epochs' | 'marks'>> {
    if (states === undefined) return { epochs: [], marks: [] };
    return this.#guarded(undefined, () => tablesAt(states, this.#frames, this.#images));
  }

  /** @param revision whose neighbours an error names */
  frames({ after, entries, end }: LineSpan, revision = end): AsyncGenerator<Frame> {
    return this.#guardedEach(revision, this.#frames.frames(after, entries, end));
  }

  /** The same, with what many of them change altogether. */
  gathered({ after, entries, end }: LineSpan): AsyncGenerator<GatheredFrame> {
    return this.#guardedEach(end, this.#frames.gathered(after, entries, end));
  }

  async image(image: ImageEntry): Promise<StoredSnapshot> {
    const { revision } = image.position;
    const snapshot = await this.#guarded(revision, () => this.#images.open(image));
    return { ...snapshot, chunks: () => this.#guardedEach(revision, snapshot.chunks()) };
  }

  /** The parts of an image after the first `skipped`. */
  imageParts(image: ImageEntry, skipped: number): AsyncGenerator<ReadPart> {
    return this.#guardedEach(image.position.revision, this.#images.parts(image, skipped));
  }

  async #guarded<T>(revision: number | undefined, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw withNearest(error, this.#line, revision);
    }
  }

  async *#guardedEach<T>(revision: number, read: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* read;
    } catch (error) {
      throw withNearest(error, this.#line, revision);
    }
  }
}

async function find(finder: MomentFinder, when: WhenLike | undefined, now: number | undefined): Promise<ArchivedMoment> {
  if (when === undefined) return finder.newest();
  const moment: When = typeof when === 'string' ? parseWhen(when, now ?? nobodySaidNow(when)) : when;
  if ('mark' in moment) return finder.ofMark(moment.mark);
  return 'time' in moment ? finder.ofTime(moment.time) : finder.ofPosition(moment);
}

/** @throws EvertreeError VALUE_INVALID for a text that is relative to a present that is not known */
function nobodySaidNow(text: string): number {
  if (parseTime(text, 0) === parseTime(text, 1_000)) return 0;
  throw new EvertreeError('VALUE_INVALID', `${JSON.stringify(text)} is relative, and the present time was not given with it`, {
    value: text,
  });
}
