import type { ExactPosition, Frame } from '@evertree/core';
import { samePosition } from '@evertree/core';
import type { StretchEntry } from '../format/manifest.ts';
import type { ArchiveSource } from './archive-source.ts';
import type { StretchWriter } from './stretch-writer.ts';

/** An object of a tail with so many bytes of frames is as good as a stretch. */
const LARGE_BYTES = 2 * 1024 * 1024;

/** What becomes of the objects of a tail. */
export interface CutTail {
  readonly stretches: readonly StretchEntry[];
  /** Those whose frames are in other stretches now. */
  readonly swallowed: readonly StretchEntry[];
}

/**
 * Makes stretches of the objects of a tail: many small ones are cut anew from the journal, large ones stay what they
 * are, and so do those that the journal does not have any more.
 */
export async function cutTail(objects: readonly StretchEntry[], source: ArchiveSource, writer: StretchWriter): Promise<CutTail> {
  const stretches: StretchEntry[] = [];
  const swallowed: StretchEntry[] = [];
  for (const group of groupsOf(objects)) {
    const merged = group.length > 1 ? await merge(group, source, writer) : undefined;
    stretches.push(...(merged ?? group));
    if (merged !== undefined) swallowed.push(...group);
  }
  return { stretches, swallowed };
}

/** Small ones that follow one another; each large one by itself. */
function groupsOf(objects: readonly StretchEntry[]): StretchEntry[][] {
  const groups: StretchEntry[][] = [];
  let small: StretchEntry[] | undefined;
  for (const object of objects) {
    if (object.plainBytes >= LARGE_BYTES) {
      groups.push([object]);
      small = undefined;
    } else if (small === undefined) {
      groups.push((small = [object]));
    } else {
      small.push(object);
    }
  }
  return groups;
}

/** @returns undefined if the journal does not have them */
async function merge(group: readonly StretchEntry[], source: ArchiveSource, writer: StretchWriter): Promise<StretchEntry[] | undefined> {
  const { base, previous } = group[0]!;
  const { last, chain } = group.at(-1)!;
  const merged: StretchEntry[] = [];
  for await (const stretch of writer.write({ position: base, chain: previous }, upTo(source.frames(base), last))) merged.push(stretch);
  const end = merged.at(-1);
  return end !== undefined && samePosition(end.last, last) && end.chain === chain ? merged : undefined;
}

async function* upTo(frames: AsyncIterable<Frame>, { revision }: ExactPosition): AsyncGenerator<Frame, void, undefined> {
  for await (const frame of frames) {
    yield frame;
    if (frame.header.last.revision >= revision) return;
  }
}
