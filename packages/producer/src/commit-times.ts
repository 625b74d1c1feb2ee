/** Commits that became stable so close together count as one. */
const RESOLUTION_MS = 50;
/** Entries kept; beyond, every two become one, so that what is long ago is known less exactly. */
const MOST_ENTRIES = 1024;

/** When each revision became stable, since this process began: the age of what a secondary lacks. */
export class CommitTimes {
  /** The times of the revisions after this one are known. */
  readonly start: number;
  /** Oldest first; `upTo` rises: the revisions after the entry before, up to this one, became stable at `time`. */
  #entries: { readonly time: number; readonly upTo: number }[] = [];

  /** @param start the stable revision at the beginning */
  constructor(start: number) {
    this.start = start;
  }

  /** @param now milliseconds since 1970 */
  grown(upTo: number, now: number): void {
    const last = this.#entries.at(-1);
    if (last !== undefined && now - last.time < RESOLUTION_MS) this.#entries[this.#entries.length - 1] = { time: last.time, upTo };
    else this.#entries.push({ time: now, upTo });
    if (this.#entries.length > MOST_ENTRIES) this.#thin();
  }

  /**
   * When the first revision after this one became stable; undefined when there is none, or it was before the beginning.
   */
  after(revision: number): number | undefined {
    if (revision < this.start) return undefined;
    // Most questions are about recent revisions.
    let found: number | undefined;
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      const entry = this.#entries[index]!;
      if (entry.upTo <= revision) break;
      found = entry.time;
    }
    return found;
  }

  #thin(): void {
    this.#entries = this.#entries
      .filter((_, index) => index % 2 === 0)
      .map((entry, index) => ({ time: entry.time, upTo: (this.#entries[2 * index + 1] ?? entry).upTo }));
  }
}
