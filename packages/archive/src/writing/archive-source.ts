import type { ExactPosition, Frame, StoredSnapshot } from '@evertree/core';

/**
 * What is archived: the history of one site, read from the files of its directory. Nothing is locked or changed, so that
 * it works beside a running site and on a stopped one. Retention and a rewind may change the files meanwhile.
 */
export interface ArchiveSource {
  /** The name of the site. */
  readonly site: string;
  /** What the history is now. The positions of one answer belong together. */
  extent(): Promise<SourceExtent>;
  /**
   * The stable frames after a position, oldest first, up to the end of `extent`. It gives none where the files do not go
   * on from there: the history was cut back, or retention has dropped what follows. The bytes of a frame are valid until
   * the next one is asked for.
   */
  frames(after: ExactPosition): AsyncIterable<Frame>;
  /** The hash of the frame that ends at a position; undefined if it is not one of this history, or not here any more. */
  chainAt(position: ExactPosition): Promise<string | undefined>;
  /** The oldest snapshot that can be read now. */
  oldestSnapshot(): Promise<StoredSnapshot | undefined>;
  /** The newest snapshot that can be read now, of those at or before a position. */
  newestSnapshot(atOrBefore: ExactPosition): Promise<StoredSnapshot | undefined>;
  /**
   * Asks the site for a snapshot of its present state, and resolves when there is one.
   * @returns false where nobody can make one: the site is stopped
   */
  makeSnapshot(): Promise<boolean>;
}

/** Where a history begins and ends. */
export interface SourceExtent {
  /** Undefined before the first commit. */
  readonly stream: string | undefined;
  /** The frames after it are there. */
  readonly base: ExactPosition;
  /** The last stable position. */
  readonly stable: ExactPosition;
}
