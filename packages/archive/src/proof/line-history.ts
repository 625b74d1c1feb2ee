import { type ExactPosition, formatExactPosition, formatPosition, NO_CHAIN, ORIGIN, samePosition } from '@evertree/core';
import type { ArchiveLine, ImageEntry, StretchEntry, TailNote } from '../format/manifest.ts';
import type { FindingList } from './archive-finding.ts';

/** An object of a tail that a line needs. */
export interface TailObject {
  readonly kind: 'tail';
  readonly path: string;
  readonly bytes: number;
  readonly tail: TailNote;
  readonly number: number;
}

/** An object that a line needs, and that holds frames. */
export type FramesObject =
  | TailObject
  | { readonly kind: 'stretch'; readonly path: string; readonly bytes: number; readonly entry: StretchEntry };

/** One that holds a part of an image, from 1. */
export interface PartObject {
  readonly kind: 'part';
  readonly path: string;
  readonly bytes: number;
  readonly image: ImageEntry;
  readonly part: number;
}

export type NeededObject = FramesObject | PartObject;

/** A tail's objects that are there, and what its last one says. */
export interface FoundTail {
  readonly note: TailNote;
  readonly objects: readonly TailObject[];
  /** Where it ends; undefined if its last object can't be read. */
  readonly end: HistoryEnd | undefined;
}

/** A place that a history has reached: after the frame whose hash is `chain`. */
export interface HistoryEnd {
  readonly position: ExactPosition;
  readonly chain: string;
  /** Of the tree there, as the site recorded it. */
  readonly digest: string;
}

export type HistoryItem = ImageItem | FramesObject;

export interface ImageItem {
  readonly kind: 'image';
  readonly image: ImageEntry;
  readonly parts: readonly PartObject[];
}

/** A part of a line without a hole: an image or the origin of the stream, and what follows it, in order. */
export interface LineSection {
  readonly line: string;
  /** Whether it begins with the stream's first frame. */
  readonly hasOrigin: boolean;
  readonly items: readonly HistoryItem[];
  /** Where it ends; undefined if the last tail's end is not known. */
  readonly end: HistoryEnd | undefined;
}

/** All objects of sections, in their order. */
export function neededObjects(sections: readonly LineSection[]): NeededObject[] {
  return sections.flatMap(({ items }) => items.flatMap((item): readonly NeededObject[] => (item.kind === 'image' ? item.parts : [item])));
}

/** The sections of a line, by what its manifest says. What does not follow what comes before it is a finding. */
export function sectionsOf(line: ArchiveLine, tails: readonly FoundTail[], list: FindingList): LineSection[] {
  return new LineOrder(line, list).run(tails);
}

/** Goes through a line's objects in their order. */
class LineOrder {
  readonly #line: ArchiveLine;
  readonly #list: FindingList;
  readonly #sections: LineSection[] = [];
  #items: HistoryItem[] = [];
  #hasOrigin = false;
  /** Undefined before the first object, and after a tail whose end is not known. */
  #end: HistoryEnd | undefined;
  /** Images behind the end: the next frames lead to them, or begin with the last of them after a gap. */
  #ahead: ImageItem[] = [];

  constructor(line: ArchiveLine, list: FindingList) {
    this.#line = line;
    this.#list = list;
  }

  run(tails: readonly FoundTail[]): LineSection[] {
    for (const object of this.#line.objects) {
      if (object.kind === 'image') this.#image(imageItem(object));
      else this.#stretch(object);
    }
    for (const tail of tails) this.#tail(tail);
    this.#beginAtImage();
    this.#close();
    return this.#sections;
  }

  #image(item: ImageItem): void {
    const { position, chain, digest } = item.image;
    const end = this.#end;
    if (end === undefined && this.#sections.length === 0 && this.#items.length === 0) {
      this.#items = [item];
      this.#end = { position, chain, digest };
    } else if (end !== undefined && position.revision <= end.position.revision) {
      const isSame = samePosition(position, end.position) && chain === end.chain && digest === end.digest;
      const isOther = position.revision === end.position.revision && !isSame;
      if (isOther) {
        const at = formatExactPosition(end.position);
        this.#found(
          item.parts[0]?.path ?? this.#line.id,
          position.revision,
          `its image is of another history than the frames that end at ${at}`,
        );
      }
      this.#items.push(item);
    } else this.#ahead.push(item);
  }

  #stretch(entry: StretchEntry): void {
    const { path, base, last, previous, chain, digest } = entry;
    this.#follow(path, { position: base, chain: previous }, last);
    if (last.revision <= base.revision) this.#found(path, base.revision, `it ends at ${formatPosition(last)}, where it begins`);
    // Images inside it come before it: a restore that begins with one skips the frames before.
    for (const item of this.#ahead.filter(({ image }) => image.position.revision <= last.revision)) this.#items.push(item);
    this.#ahead = this.#ahead.filter(({ image }) => image.position.revision > last.revision);
    this.#items.push({ kind: 'stretch', path, bytes: entry.bytes, entry });
    if (this.#end === undefined || last.revision > this.#end.position.revision) this.#end = { position: last, chain, digest };
  }

  #tail({ note, objects, end }: FoundTail): void {
    if (objects.length === 0) return;
    this.#follow(note.path, { position: note.base, chain: note.previous });
    this.#items.push(...objects);
    if (end === undefined || this.#end === undefined || end.position.revision > this.#end.position.revision) this.#end = end;
  }

  /**
   * Compares what an object says that it follows with what comes before it.
   * @param last where a stretch ends: behind a gap an image may lead into the middle of it
   */
  #follow(path: string, base: Pick<HistoryEnd, 'position' | 'chain'>, last?: ExactPosition): void {
    const end = this.#end;
    if (end !== undefined && samePosition(base.position, end.position)) {
      if (base.chain !== end.chain)
        this.#found(path, base.position.revision, `it follows another frame than the one that ends at ${formatPosition(end.position)}`);
      return;
    }
    // The frames begin within what is there already: whoever reads skips those that it has.
    if (end !== undefined && base.position.revision < end.position.revision) return;
    if (this.#ahead.some(({ image }) => samePosition(image.position, base.position))) return this.#beginAtImage();
    const inside = last === undefined ? -1 : this.#ahead.findIndex(({ image }) => this.#isAfterGap(image, base.position, last));
    if (inside >= 0) return this.#beginAtImage(inside);
    const isFirst = this.#sections.length === 0 && this.#items.length === 0;
    if (isFirst && samePosition(base.position, ORIGIN)) {
      this.#hasOrigin = true;
      if (base.chain !== NO_CHAIN) this.#found(path, 0, 'it follows the origin of the stream, and names a frame before it');
      return;
    }
    if (end !== undefined || isFirst) this.#found(path, base.position.revision, this.#hole(base.position, isFirst));
    this.#close();
  }

  /** Whether a gap is noted that ends at an image, and the image is inside a stretch. */
  #isAfterGap({ position }: ImageEntry, base: ExactPosition, last: ExactPosition): boolean {
    if (position.revision <= base.revision || position.revision > last.revision) return false;
    return this.#line.gaps.some(({ to }) => samePosition(to, position));
  }

  #hole(base: ExactPosition, isFirst: boolean): string {
    if (isFirst) return `it begins at ${formatPosition(base)}, and neither an image nor the origin of the stream comes before it`;
    const { position } = this.#end!;
    const missing = base.revision - position.revision;
    const lack = missing > 0 ? `${missing} commits are missing before it` : 'it is of another history';
    return `it begins at ${formatExactPosition(base)}, and what comes before it ends at ${formatExactPosition(position)}: ${lack}`;
  }

  /** Begins a section at an image that no frames have led to, if there is one. @param index in `#ahead`: by default the last */
  #beginAtImage(index = this.#ahead.length - 1): void {
    const item = this.#ahead[index];
    if (item === undefined) return;
    const from = this.#end?.position;
    const others = this.#ahead.slice(0, index + 1);
    this.#ahead = this.#ahead.slice(index + 1);
    this.#close();
    // Each of them is a state of its own.
    for (const image of others.slice(0, -1)) {
      this.#items = [image];
      this.#close();
    }
    this.#items = [item];
    const { position, chain, digest } = item.image;
    this.#end = { position, chain, digest };
    const [{ image: first }] = others as [ImageItem];
    const isNoted =
      from === undefined || this.#line.gaps.some(gap => gap.from.revision <= from.revision && gap.to.revision > from.revision);
    if (isNoted) return;
    const text = `what comes before its image ends at ${formatPosition(from)}, the image is of ${formatPosition(first.position)}, and no gap is noted there`;
    this.#found(others[0]!.parts[0]?.path ?? this.#line.id, from.revision, text);
  }

  #close(): void {
    if (this.#items.length > 0) {
      this.#sections.push({ line: this.#line.id, hasOrigin: this.#hasOrigin, items: this.#items, end: this.#end });
    }
    this.#hasOrigin = false;
    this.#items = [];
    this.#end = undefined;
  }

  #found(object: string, revision: number, problem: string): void {
    this.#list.add({ level: 0, object, line: this.#line.id, revision, problem });
  }
}

function imageItem(image: ImageEntry): ImageItem {
  const parts = image.parts.map(({ path, bytes }, index): PartObject => ({ kind: 'part', path, bytes, image, part: index + 1 }));
  return { kind: 'image', image, parts };
}
