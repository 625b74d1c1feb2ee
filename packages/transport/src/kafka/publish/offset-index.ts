/** The most entries that are kept; beyond that every second one is dropped. */
const MOST_ENTRIES = 1024;

interface Entry {
  /** The offset at which a frame begins, or the next frame will begin. */
  readonly offset: bigint;
  /** The frames before `offset` end at or before this revision. */
  readonly revision: number;
}

/**
 * The offsets of frames in the topic: for a tree at a revision it gives an offset from which on all later frames can be
 * read. Revisions alone name positions here, because all of it is one link's history.
 */
export class OffsetIndex {
  /** Ascending in both. The first entry answers any question, so it is never dropped. */
  #entries: Entry[];
  /** The offset after the last frame that the topic is known to hold. */
  #end: Entry;

  /** @param offset the topic's end at the beginning; @param revision what it went up to there */
  constructor(offset: bigint, revision: number) {
    this.#end = { offset, revision };
    this.#entries = [this.#end];
  }

  /** A frame that follows `revision` begins at `offset`. */
  add(offset: bigint, revision: number): void {
    this.#entries.push({ offset, revision });
    if (this.#entries.length > MOST_ENTRIES) this.#entries = this.#entries.filter((_, index) => index % 2 === 0);
  }

  /** A frame that goes up to `revision` ends before `offset`, and nothing further stands before that. */
  reach(offset: bigint, revision: number): void {
    this.#end = { offset, revision };
  }

  /**
   * The furthest known offset before which no frame goes beyond `revision`. The offset may be too low, never too high:
   * frames that the tree holds already are duplicates.
   */
  follow(revision: number): bigint {
    if (this.#end.revision <= revision) return this.#end.offset;
    for (let index = this.#entries.length - 1; index > 0; index--) {
      const entry = this.#entries[index]!;
      if (entry.revision <= revision) return entry.offset;
    }
    return this.#entries[0]!.offset;
  }
}
