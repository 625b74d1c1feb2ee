/** Entries kept; beyond, every second one goes. */
const MOST_ENTRIES = 1024;

interface Entry {
  /** Where a frame begins, or will. */
  readonly offset: bigint;
  /** What lies before it goes no further than this revision. */
  readonly revision: number;
}

/**
 * Where frames stand in the topic: from which offset on a tree at some revision finds everything that follows it.
 * Revisions alone name positions here, because all of it is one link's history.
 */
export class OffsetIndex {
  /** Ascending in both. The first one holds for whatever is asked, so it is never dropped. */
  #entries: Entry[];
  /** After the last frame that is known to be there. */
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
