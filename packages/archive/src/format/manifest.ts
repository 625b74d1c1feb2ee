import type { ExactPosition } from '@evertree/core';

/** What a manifest says: ARCHIVE.md, «Manifest». Positions, times, sizes and hashes; what is private is sealed. */
export interface Manifest {
  readonly archive: string;
  readonly stream: string;
  /** SHA-256 of the manifest before it; null for the first. */
  readonly previous: string | null;
  /** By the target's time, milliseconds since 1970. */
  readonly time: number;
  readonly lines: readonly ArchiveLine[];
  /** Objects that no line needs any more, and that are deleted when nobody can still read them. */
  readonly condemned: readonly CondemnedObject[];
}

/**
 * The history that one site archived: objects in the order of their positions, all of one history. A line needs no
 * object of another line.
 */
export interface ArchiveLine {
  /** 16 hex digits, drawn. */
  readonly id: string;
  /** Tells sites apart without their names: 16 hex digits. */
  readonly site: string;
  /** Who extends the line: 16 hex digits, drawn at each start. Whoever finds another one there has lost the line. */
  readonly run: string;
  /** The name of the site. */
  readonly private: Private;
  readonly objects: readonly ArchivedObject[];
  /** Those of which something is not in `objects` yet; of these only the last grows. */
  readonly tails: readonly TailNote[];
  readonly gaps: readonly GapNote[];
}

/** `{…}`, or its JSON encrypted for the archive's recipients, as base64. */
export type Private = string | { readonly [key: string]: unknown };

export type ArchivedObject = StretchEntry | ImageEntry;

/** Frames that follow one another. */
export interface StretchEntry {
  readonly kind: 'stretch';
  readonly path: string;
  /** All of it, and the sum at its end. */
  readonly bytes: number;
  readonly sha256: string;
  readonly base: ExactPosition;
  readonly last: ExactPosition;
  readonly firstTime: number;
  readonly lastTime: number;
  readonly commits: number;
  /** Bytes of the frames. */
  readonly plainBytes: number;
  /** SHA-256 of the frame before the first one, and of the last one. */
  readonly previous: string;
  readonly chain: string;
  /** Digest of the tree after the last frame. */
  readonly digest: string;
  /** Revisions of the mark frames in it. */
  readonly marks: readonly number[];
  /** Revisions of the states that they name; left out where they are not known. */
  readonly marked?: readonly number[];
  /** When it came into the manifest, by the target's time. Whoever publishes the manifest sets it, once. */
  readonly archived?: number;
}

/** A whole tree. */
export interface ImageEntry {
  readonly kind: 'image';
  readonly position: ExactPosition;
  readonly time: number;
  readonly digest: string;
  readonly chain: string;
  readonly plainBytes: number;
  readonly parts: readonly ImagePart[];
  /** Revisions of the states that its marks name. */
  readonly marks: readonly number[];
  /** When it came into the manifest, by the target's time. Whoever publishes the manifest sets it, once. */
  readonly archived?: number;
}

export interface ImagePart {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Frames as they came: the objects `<path>/<seq>` from `from` on, each after the one before. */
export interface TailNote {
  readonly path: string;
  readonly from: number;
  /** The position that the object `from` follows. */
  readonly base: ExactPosition;
  readonly previous: string;
}

/** History that no object of the line holds. */
export interface GapNote {
  readonly from: ExactPosition;
  readonly to: ExactPosition;
  readonly reason: 'spool-full' | 'history-gone' | 'pruned';
  readonly time: number;
}

/** An object, or those of a tail from one number to another. */
export interface CondemnedObject {
  readonly path: string;
  readonly bytes: number;
  /** The first and the last number: `path` is that of a tail then, and `bytes` those of all together. */
  readonly numbers?: readonly [from: number, to: number];
  /** When it was unlinked, by the target's time. */
  readonly since: number;
}
