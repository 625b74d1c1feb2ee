import { samePosition } from '@evertree/core';
import { isEvertreeError } from '@evertree/core';
import type { ArchivedObject, ArchiveLine, StretchEntry, TailNote } from '../format/manifest.ts';
import type { FramesHeader } from '../format/object-header.ts';
import { tailKey } from '../format/object-keys.ts';
import { readObjectHead } from '../format/sealed-object.ts';
import type { Target } from '../targets/target.ts';
import type { ArchivedEnd } from './frame-batch.ts';
import { stretchOf } from './object-writer.ts';

/** An object of a tail that is there. */
interface FoundObject {
  readonly path: string;
  readonly bytes: number;
}

/** Where a line ends in the target. */
export interface ArchivedLineEnd {
  /** Where the objects of its manifest end. */
  readonly objects: ArchivedEnd;
  /** Where its tails end; the same if they have nothing. */
  readonly tails: ArchivedEnd;
  /** The objects of its tails. */
  readonly found: readonly FoundObject[];
}

/** Finds where a line ends: the objects of its manifest, and what its tails have behind them. */
export async function findEnd(target: Target, line: ArchiveLine): Promise<ArchivedLineEnd> {
  const objects = endOfObjects(line.objects);
  let tails = objects;
  const found: FoundObject[] = [];
  for (const tail of line.tails) {
    const there = await listTail(target, tail);
    found.push(...there);
    for (const { path } of there.toReversed()) {
      const header = await headOf(target, path);
      if (header === undefined) continue;
      if (header.last.revision > tails.position.revision) tails = endOfFrames(header);
      break;
    }
  }
  return { objects, tails, found };
}

/**
 * The objects of a line's tails as stretches, for a history that the journal does not have any more: those that follow
 * one another behind `from`.
 */
export async function tailStretches(target: Target, { found, objects }: ArchivedLineEnd): Promise<StretchEntry[]> {
  const stretches: StretchEntry[] = [];
  let end = objects;
  for (const { path, bytes } of found) {
    const read = await readHead(target, path);
    if (read === undefined || !samePosition(read.header.base, end.position) || read.header.previous !== end.chain) continue;
    stretches.push(stretchOf({ path, bytes, sha256: read.sha256 }, read.header, read.header.marks.length === 0 ? [] : undefined));
    end = endOfFrames(read.header);
  }
  return stretches;
}

/** @param objects of a line: at least one */
function endOfObjects(objects: readonly ArchivedObject[]): ArchivedEnd {
  const last = objects.at(-1)!;
  return endOfObject(last);
}

export function endOfObject(object: ArchivedObject): ArchivedEnd {
  const { chain, digest } = object;
  if (object.kind === 'image') return { position: object.position, chain, time: object.time, digest };
  return { position: object.last, chain, time: object.lastTime, digest };
}

function endOfFrames({ last, chain, lastTime, digest }: FramesHeader): ArchivedEnd {
  return { position: last, chain, time: lastTime, digest };
}

/** The objects of a tail, one after the other up to the first that is missing. */
async function listTail(target: Target, { path, from }: TailNote): Promise<FoundObject[]> {
  const sizes = new Map<string, number>();
  for await (const { key, size } of target.list(`${path}/`)) sizes.set(key, size);
  const found: FoundObject[] = [];
  for (let number = from; ; number++) {
    const key = tailKey(path, number);
    const bytes = sizes.get(key);
    if (bytes === undefined) return found;
    found.push({ path: key, bytes });
  }
}

async function headOf(target: Target, path: string): Promise<FramesHeader | undefined> {
  return (await readHead(target, path))?.header;
}

/** @returns undefined for one that is damaged or gone: who reads the archive says so, and its frames are in the journal */
async function readHead(target: Target, path: string): Promise<{ readonly header: FramesHeader; readonly sha256: string } | undefined> {
  const object = await target.get(path);
  if (object === undefined) return undefined;
  try {
    const head = readObjectHead(object.bytes, path);
    return head.kind === 'frames' ? { header: head.header, sha256: head.sha256 } : undefined;
  } catch (error) {
    if (isEvertreeError(error, 'DAMAGED')) return undefined;
    throw error;
  }
}
