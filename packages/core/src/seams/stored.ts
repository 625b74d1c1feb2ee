import type { Frame } from '../frames/frame.ts';
import type { Mark } from '../marks.ts';
import type { Boundary, Epoch } from '../position.ts';

export interface StoredFrame {
  readonly frame: Frame;
  readonly trailer: Uint8Array | undefined;
}

/** The head of a snapshot, stored or on its way: all that a site needs to go on from it. */
export interface SnapshotHeader extends Boundary {
  readonly stream: string;
  /** SHA-256 of the frame that ends at the position, 64 hex digits. */
  readonly chain: string;
  /** Every epoch of the stream up to the position, oldest first. */
  readonly epochs: readonly Epoch[];
  /** The marks of the history up to the position, in the order in which they were set. */
  readonly marks: readonly Mark[];
  /** Commit time of the position, milliseconds since 1970. */
  readonly time: number;
}

/** What is known of a snapshot without reading its file. */
export interface ListedSnapshot extends Boundary {
  /** Commit time of the position, milliseconds since 1970. */
  readonly time: number;
  readonly bytes: number;
}

export interface StoredSnapshot {
  readonly header: SnapshotHeader;
  readonly bytes: number;
  /** The chunks in order, each checked against its checksum. Throws DAMAGED with file and offset. */
  chunks(): AsyncIterable<Uint8Array>;
}
