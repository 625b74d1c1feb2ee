/** A record that a search may begin at. */
export interface IndexEntry {
  /** Revision its frame follows. */
  readonly revision: number;
  /** Where it stands in its file. */
  readonly offset: number;
  /** Commit time of its first change set. */
  readonly time: number;
}

/** Bytes between two entries, at least: a search reads no more than that, and a segment of 64 MiB has 1,024 entries. */
const INDEX_STEP_BYTES = 64 * 1024;

/** Where in a segment to begin looking for a revision. */
export class SparseIndex {
  readonly #entries: IndexEntry[];

  constructor(entries: readonly IndexEntry[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly IndexEntry[] {
    return this.#entries;
  }

  /** Takes note of a record; the caller goes through the file in order. */
  add(revision: number, offset: number, time: number): void {
    const newest = this.#entries.at(-1);
    if (newest === undefined || offset - newest.offset >= INDEX_STEP_BYTES) this.#entries.push({ revision, offset, time });
  }

  /** The entries of the records before `offset`. */
  before(offset: number): SparseIndex {
    return new SparseIndex(this.#entries.filter(entry => entry.offset < offset));
  }

  /**
   * The offset of the last known record whose first change set is not after `time`; undefined if all are later. Only for a segment of
   * one epoch, in which times never go back.
   */
  seekTime(time: number): number | undefined {
    return this.#entries.findLast(entry => entry.time <= time)?.offset;
  }

  /** The offset of the last known record whose frame follows `revision` or an earlier one; undefined for an empty index. */
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
