import {
  type Clock,
  EvertreeError,
  type ExactPosition,
  type Frame,
  formatExactPosition,
  formatPosition,
  frameHash,
  frameLength,
  NO_CHAIN,
  ORIGIN,
  parseFrame,
  RebuiltTree,
  samePosition,
  Turn,
} from '@evertree/core';
import type { Opening } from '../encryption/sealing.ts';
import type { FramesHeader } from '../format/object-header.ts';
import { releaseMemory, releaseSource } from '../format/memory.ts';
import { type OpenedObject, openContent } from '../format/sealed-object.ts';
import { prefetch } from '../reading/prefetch.ts';
import { type FindingList, problemOf } from './archive-finding.ts';
import { type ImageFacts, ImageReading, PartUnsound } from './image-reading.ts';
import type { FramesObject, HistoryItem, ImageItem, LineSection, NeededObject } from './line-history.ts';
import { type CheckedObject, FETCHED_AHEAD, revisionOf } from './object-check.ts';

export interface WalkOptions {
  readonly section: LineSection;
  readonly clock: Clock;
  readonly stream: string;
  readonly opening: Opening;
  readonly list: FindingList;
  /** The objects that are to be proven. Others are read only as far as a tree can't be rebuilt without them. */
  readonly due: ReadonlySet<string>;
  /** Fetches an object and checks its sum. */
  fetch(object: NeededObject): Promise<CheckedObject | undefined>;
  /** Is told of each object of frames in its order, before it is opened. @returns whether it follows those before it */
  arrived(object: FramesObject, checked: CheckedObject): boolean;
  /** An object is proven: its frames follow and give what they say, or the tree of its image is what it says. */
  proven(object: NeededObject, sum: string): Promise<void> | void;
}

/** What was read of a section. */
export interface WalkCounts {
  images: number;
  frames: number;
  rebuiltCommits: number;
}

/** Goes through a section frame by frame, rebuilds its tree, and compares its images with it. */
export class SectionWalk {
  readonly counts: WalkCounts = { images: 0, frames: 0, rebuiltCommits: 0 };
  readonly #options: WalkOptions;
  /** A site may live in this process. */
  readonly #turn: Turn;
  readonly #images = new Map<ImageItem, ImageFacts | undefined>();
  /** Undefined where it is not known: behind damage, and before the first sound image. */
  #tree: RebuiltTree | undefined;
  /** Holds the frame that the tree refers to, if one was applied. */
  #applied: Buffer | undefined;
  /** The end of what was read; undefined behind damage. */
  #last: ExactPosition | undefined;
  #chain: string | undefined;
  #time = 0;

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#turn = new Turn(options.clock);
  }

  async run(): Promise<void> {
    const { items } = this.#options.section;
    const lastDue = items.findLastIndex(item => this.#isDue(item));
    if (lastDue < 0) return;
    const from = this.#start();
    const first = items[from];
    // Before there is another tree in memory.
    for (const item of items) if (item.kind === 'image' && item !== first && this.#isDue(item)) await this.#proveImage(item);
    if (first?.kind === 'image') await this.#beginAt(first);
    else if (from === 0 && this.#options.section.hasOrigin) this.#begin(ORIGIN, NO_CHAIN, RebuiltTree.empty());
    await this.#follow(items.slice(from, lastDue + 1).filter(item => item !== first || item.kind !== 'image'));
  }

  #isDue(item: HistoryItem): boolean {
    const { due } = this.#options;
    return item.kind === 'image' ? item.parts.some(({ path }) => due.has(path)) : due.has(item.path);
  }

  /**
   * Where to begin, so that the tree is known at the first object of frames that is due: at an image or at the origin. If
   * there is none it begins at that object, and only the chain is followed up to the next image.
   */
  #start(): number {
    const { items, hasOrigin } = this.#options.section;
    const firstDue = items.findIndex(item => item.kind !== 'image' && this.#isDue(item));
    const first = items[firstDue];
    if (first === undefined || first.kind === 'image') return items.findIndex(item => this.#isDue(item));
    const base = first.kind === 'stretch' ? first.entry.base.revision : first.tail.base.revision;
    const before = items.findLastIndex((item, index) => index < firstDue && item.kind === 'image' && item.image.position.revision <= base);
    if (before >= 0) return before;
    if (hasOrigin) return 0;
    // The first frames may begin within what the image holds.
    return items[0]?.kind === 'image' ? 0 : firstDue;
  }

  /** Builds the tree of an image, and keeps only what the frames are compared with. */
  async #proveImage(item: ImageItem): Promise<RebuiltTree | undefined> {
    const { opening, list, stream, section } = this.#options;
    const fetch = (object: NeededObject) => this.#options.fetch(object);
    const reading = new ImageReading(item, { opening, list, stream, line: section.line, fetch });
    try {
      const tree = await RebuiltTree.from(await reading.open());
      this.counts.images++;
      this.#images.set(item, reading.facts(tree));
      for (const [part, sum] of reading.sums) await this.#options.proven(part, sum);
      return tree;
    } catch (error) {
      if (!(error instanceof PartUnsound)) this.#found(item.parts[0]!.path, item.image.position.revision, problemOf(error));
      this.#images.set(item, undefined);
      return undefined;
    }
  }

  async #beginAt(item: ImageItem): Promise<void> {
    const { position, chain, time } = item.image;
    this.#begin(position, chain, await this.#proveImage(item));
    this.#time = time;
  }

  #begin(position: ExactPosition, chain: string, tree: RebuiltTree | undefined): void {
    this.#last = position;
    this.#chain = chain;
    this.#tree = tree;
  }

  async #follow(items: readonly HistoryItem[]): Promise<void> {
    const frames = items.filter(item => item.kind !== 'image');
    const images = items.filter(item => item.kind === 'image');
    for await (const [item, checked] of prefetch(
      frames,
      FETCHED_AHEAD,
      async object => [object, await this.#options.fetch(object)] as const,
    )) {
      const opened = checked !== undefined && this.#options.arrived(item, checked) ? await this.#open(item, checked) : undefined;
      if (opened === undefined) this.#break();
      else await this.#object(item, opened, images);
    }
  }

  async #open({ path }: FramesObject, { bytes, head }: CheckedObject): Promise<OpenedObject | undefined> {
    try {
      const opened = await openContent(bytes, head, this.#options.opening, path);
      releaseSource(bytes, opened.payload);
      return opened;
    } catch (error) {
      return this.#found(path, undefined, problemOf(error));
    }
  }

  async #object(item: FramesObject, opened: OpenedObject, images: ImageItem[]): Promise<void> {
    if (opened.kind !== 'frames') return this.#break();
    const { header } = opened;
    const isRebuilt = this.#last === undefined || this.#tree !== undefined;
    if (this.#last === undefined) this.#begin(header.base, header.previous, undefined);
    const counted = new ObjectFrames();
    const before = this.#last;
    try {
      for (const frame of framesOf(opened.payload)) {
        counted.add(frame);
        // Objects may overlap: what is there already is skipped, as a restore does.
        if (frame.header.last.revision > this.#last!.revision) this.#frame(frame);
        await this.#meet(images);
        await this.#turn.breathe();
      }
    } catch (error) {
      this.#found(item.path, revisionOf(item), problemOf(error));
      return this.#break();
    }
    const difference = counted.differenceFrom(header);
    if (difference !== undefined) {
      this.#found(item.path, revisionOf(item), difference);
      return this.#break();
    }
    this.#release(opened.payload, this.#last !== before);
    if (isRebuilt && this.#tree !== undefined) await this.#options.proven(item, opened.sha256);
  }

  /**
   * Gives back the memory of what was followed: the collector would let tens of MiB gather. The tree refers to the frame
   * that was applied last, so the payload of that one waits until there is a later one.
   */
  #release(payload: Buffer, isApplied: boolean): void {
    const free = isApplied ? this.#applied : payload;
    if (free !== undefined) releaseMemory(free);
    if (isApplied) this.#applied = payload;
  }

  /** @throws EvertreeError if it does not follow, or gives another tree than it says */
  #frame(frame: Frame): void {
    const { header } = frame;
    if (header.stream !== this.#options.stream)
      throw new EvertreeError('HISTORY_MISMATCH', `a frame is of the stream ${header.stream}, and the archive of ${this.#options.stream}`);
    if (!samePosition(header.base, this.#last!)) {
      throw new EvertreeError(
        'HISTORY_MISMATCH',
        `a frame that follows ${formatExactPosition(header.base)} stands after ${formatExactPosition(this.#last!)}`,
      );
    }
    if (header.previous !== this.#chain)
      throw new EvertreeError(
        'HISTORY_MISMATCH',
        `the frame that ends at ${formatPosition(header.last)} follows another frame than the one before it`,
      );
    if (header.epoch === header.base.epoch && header.firstTime < this.#time) {
      throw new EvertreeError(
        'HISTORY_MISMATCH',
        `the time goes back before ${formatPosition(header.last)}, from ${this.#time} to ${header.firstTime}`,
      );
    }
    this.#tree?.apply(frame);
    this.counts.frames++;
    if (this.#tree !== undefined) this.counts.rebuiltCommits += header.count;
    this.#chain = frameHash(frame);
    this.#last = header.last;
    this.#time = header.lastTime;
  }

  /** Compares the images of a position with the tree, and goes on from one where the tree is not known. */
  async #meet(images: ImageItem[]): Promise<void> {
    while (images.length > 0 && images[0]!.image.position.revision <= this.#last!.revision) {
      const item = images.shift()!;
      const { image, parts } = item;
      if (!samePosition(image.position, this.#last!)) {
        if (image.position.revision === this.#last!.revision || this.#tree !== undefined) {
          this.#found(
            parts[0]!.path,
            image.position.revision,
            `no frame ends at ${formatExactPosition(image.position)}, where its image is of`,
          );
        }
        continue;
      }
      if (image.chain !== this.#chain)
        this.#found(parts[0]!.path, image.position.revision, `its chain is not that of the frame that ends there`);
      const problem = this.#tree === undefined ? undefined : this.#images.get(item)?.differences(this.#tree);
      if (problem !== undefined) this.#found(parts[0]!.path, image.position.revision, problem);
      this.#tree ??= await this.#proveImage(item);
    }
  }

  #break(): void {
    this.#last = undefined;
    this.#tree = undefined;
    this.#chain = undefined;
    this.#time = 0;
  }

  #found(object: string, revision: number | undefined, problem: string): undefined {
    const { list, section } = this.#options;
    list.add({ level: 2, object, line: section.line, ...(revision === undefined ? {} : { revision }), problem });
  }
}

/** What the frames of one object are together. */
class ObjectFrames {
  #commits = 0;
  #first: Frame | undefined;
  #last: Frame | undefined;
  readonly #marks: number[] = [];

  add(frame: Frame): void {
    this.#commits += frame.header.count;
    this.#first ??= frame;
    this.#last = frame;
    if (frame.header.isMark) this.#marks.push(frame.header.last.revision);
  }

  /** What of a header they are not; undefined if it is right. */
  differenceFrom(header: FramesHeader): string | undefined {
    const [first, last] = [this.#first, this.#last];
    if (first === undefined || last === undefined) return 'it holds no frame';
    const { base, firstTime, previous } = first.header;
    const { last: end, lastTime, digest } = last.header;
    const found = {
      base,
      previous,
      firstTime,
      last: end,
      lastTime,
      digest,
      chain: frameHash(last),
      commits: this.#commits,
      marks: this.#marks,
    };
    for (const [key, value] of Object.entries(found)) {
      const said = header[key as keyof typeof found];
      if (JSON.stringify(said) !== JSON.stringify(value))
        return `its frames give ${key} ${JSON.stringify(value)}, where its header says ${JSON.stringify(said)}`;
    }
    return undefined;
  }
}

/** The frames of a payload, each with a right checksum. @throws EvertreeError FORMAT_INVALID */
function* framesOf(payload: Buffer): Generator<Frame> {
  for (let offset = 0; offset < payload.length;) {
    const length = frameLength(payload.subarray(offset));
    yield parseFrame(payload.subarray(offset, offset + length));
    offset += length;
  }
}
