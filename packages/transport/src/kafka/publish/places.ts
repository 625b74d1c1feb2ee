/** Entries kept; beyond, every second one goes. */
const MOST_ENTRIES = 1024;

interface Place {
  /** Where a frame begins, or will. */
  readonly offset: bigint;
  /** What lies before it goes no further than this revision. */
  readonly revision: number;
}

/** Where frames stand in the topic: from which offset on a tree at some revision finds everything that follows it. */
export class Places {
  #entries: Place[];
  /** After the last frame that is known to be there. */
  #end: Place;

  /** @param offset the topic's end at the beginning; @param revision what it went up to there */
  constructor(offset: bigint, revision: number) {
    this.#end = { offset, revision };
    this.#entries = [this.#end];
  }

  /** A frame that follows `revision` begins at `offset`. */
  add(offset: bigint, revision: number): void {
    this.#entries.push({ offset, revision });
    // The first one stays: it holds for whatever is asked.
    if (this.#entries.length > MOST_ENTRIES) this.#entries = this.#entries.filter((_, index) => index % 2 === 0);
  }

  /** A frame that goes up to `revision` ends before `offset`, and nothing further stands before that. */
  reach(offset: bigint, revision: number): void {
    this.#end = { offset, revision };
  }

  /** The furthest offset known before which nothing lies beyond `revision`; never too far, perhaps too near to the beginning. */
  follow(revision: number): bigint {
    if (this.#end.revision <= revision) return this.#end.offset;
    for (let index = this.#entries.length - 1; index > 0; index--) {
      const entry = this.#entries[index]!;
      if (entry.revision <= revision) return entry.offset;
    }
    return this.#entries[0]!.offset;
  }
}
