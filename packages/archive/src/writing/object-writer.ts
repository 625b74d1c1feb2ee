import { EvertreeError } from '@evertree/core';
import type { Sealing } from '../encryption/sealing.ts';
import type { ImagePart, StretchEntry } from '../format/manifest.ts';
import type { FramesHeader } from '../format/object-header.ts';
import { releaseMemory } from '../format/memory.ts';
import { readObjectHead, sealObject, type SealedObject, type UnsealedObject } from '../format/sealed-object.ts';
import type { Target } from '../targets/target.ts';

/** What was written since a writer began. */
export interface WrittenCounts {
  objects: number;
  bytes: number;
  plainBytes: number;
  commits: number;
  images: number;
}

/** Somebody else writes what only this run may write: its line is not its own any more. */
export class LineLost extends EvertreeError {
  constructor(message: string, details: Record<string, unknown>) {
    super('FENCED', message, details);
    this.name = 'LineLost';
  }
}

/** Objects were pruned before a manifest named them, because that took too long: they are to be written anew. */
export class ObjectsPruned extends LineLost {}

/** Seals objects of one line, and creates them. */
export class ObjectWriter {
  readonly target: Target;
  readonly counts: WrittenCounts = { objects: 0, bytes: 0, plainBytes: 0, commits: 0, images: 0 };
  readonly #sealing: Sealing;

  constructor(target: Target, sealing: Sealing) {
    this.target = target;
    this.#sealing = sealing;
  }

  seal(object: UnsealedObject): Promise<SealedObject> {
    return sealObject(object, this.#sealing);
  }

  /**
   * Creates an object. One that is there already is the same: an attempt before took effect and its answer was lost.
   * The object's bytes are given back: they are not valid any more.
   * @throws LineLost if it is another one; what the target throws
   */
  async create(key: string, { bytes, sha256 }: SealedObject, plainBytes: number): Promise<ImagePart> {
    if ((await this.target.create(key, bytes)) === 'exists') await this.#assertSame(key, sha256);
    const { length } = bytes;
    releaseMemory(bytes);
    this.counts.objects++;
    this.counts.bytes += length;
    this.counts.plainBytes += plainBytes;
    return { path: key, bytes: length, sha256 };
  }

  async #assertSame(key: string, sha256: string): Promise<void> {
    const found = await this.target.get(key);
    if (found !== undefined && readObjectHead(found.bytes, key).sha256 === sha256) return;
    throw new LineLost(`${key} was written by another process: it has the run of this one, so it was made from the same memory or disk`, {
      object: key,
    });
  }
}

/**
 * What a manifest says of an object of frames.
 * @param marked revisions of the states that its marks name; undefined where they are not known
 */
export function stretchOf(stored: ImagePart, header: FramesHeader, marked: readonly number[] | undefined): StretchEntry {
  const { archive: _archive, line: _line, after: _after, ...frames } = header;
  return { kind: 'stretch', ...stored, ...frames, ...(marked === undefined ? {} : { marked }) };
}
