/** A record at which a search may begin. */
export interface IndexEntry {
  /** The revision that its frame follows. */
  readonly revision: number;
  /** Its offset in the file. */
  readonly offset: number;
  /** Commit time of its first change set. */
  readonly time: number;
}

/**
 * The least distance between two entries. A search reads about that much, and a segment of 64 MiB has 1,024 entries.
 */
const INDEX_STEP_BYTES = 64 * 1024;

/** Tells where in a segment the search for a revision or a time begins. */
export class SparseIndex {
  readonly #entries: IndexEntry[];

  constructor(entries: readonly IndexEntry[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly IndexEntry[] {
    return this.#entries;
  }

  /** Adds a record, unless the last entry is near. Records are added in the order of the file. */
  add(revision: number, offset: number, time: number): void {
    const newest = this.#entries.at(-1);
    if (newest === undefined || offset - newest.offset >= INDEX_STEP_BYTES) this.#entries.push({ revision, offset, time });
  }

  /** The entries of the records before `offset`. */
  before(offset: number): SparseIndex {
    return new SparseIndex(this.#entries.filter(entry => entry.offset < offset));
  }

  /**
   * The offset of the last known record whose first change set is not after `time`; undefined if all are later. Only
   * for a segment of one epoch, in which times never go back.
   */
  seekTime(time: number): number | undefined {
    return this.#entries.findLast(entry => entry.time <= time)?.offset;
  }

  /**
   * The offset of the last known record whose frame follows `revision` or an earlier one; undefined for an empty index.
   */
  seek(revision: number): number | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#entries[low - 1]?.offset;
  }
}
