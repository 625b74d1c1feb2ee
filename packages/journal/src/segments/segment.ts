import type { Disk, ExactPosition } from '@evertree/core';
import { FileWindow } from './record-reader.ts';
import type { Seal, SegmentHeader } from './segment-format.ts';
import { decodeSeal, SEAL_FOOTER_BYTES, SEGMENT_HEADER_BYTES, sealLength } from './segment-format.ts';
import { SparseIndex } from './sparse-index.ts';

/** What the journal knows of a segment file. */
export interface Segment {
  readonly path: string;
  readonly header: SegmentHeader;
  /** The position after its last stable frame; the header's base while it has none. */
  last: ExactPosition;
  /** Commit time of the last change set in it; 0 while it has none. */
  lastTime: number;
  /** The offset after its last stable record: readers go no further. */
  end: number;
  /** Size of the file. */
  bytes: number;
  /** Undefined for a sealed segment until it is searched for the first time. */
  index: SparseIndex | undefined;
}

export function emptySegment(path: string, header: SegmentHeader): Segment {
  return {
    path,
    header,
    last: header.base,
    lastTime: 0,
    end: SEGMENT_HEADER_BYTES,
    bytes: SEGMENT_HEADER_BYTES,
    index: new SparseIndex(),
  };
}

export interface FoundSeal {
  readonly seal: Seal;
  readonly offset: number;
}

/** The seal at the end of a file of `size` bytes, if it has a sound one. */
export async function readSeal(window: FileWindow, size: number, salt: number): Promise<FoundSeal | undefined> {
  if (size < SEGMENT_HEADER_BYTES + SEAL_FOOTER_BYTES) return undefined;
  const footer = await window.load(size - SEAL_FOOTER_BYTES, SEAL_FOOTER_BYTES, size);
  const offset = size - sealLength(footer);
  if (footer.length < SEAL_FOOTER_BYTES || offset < SEGMENT_HEADER_BYTES) return undefined;
  const seal = decodeSeal(await window.load(offset, size - offset, size), offset, salt);
  return seal === undefined ? undefined : { seal, offset };
}

/**
 * The segment's index; for a sealed segment it is read from the seal once. If the seal can't be read, the index is
 * empty and searches are slow.
 */
export async function loadIndex(disk: Disk, segment: Segment): Promise<SparseIndex> {
  if (segment.index !== undefined) return segment.index;
  const file = await disk.open(segment.path, {});
  try {
    const found = await readSeal(new FileWindow(file), await file.size(), segment.header.salt);
    segment.index ??= new SparseIndex(found?.seal.entries);
  } finally {
    await file.close();
  }
  return segment.index;
}
