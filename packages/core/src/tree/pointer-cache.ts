/** Pointers of one generation, and the longest one that is kept, in UTF-16 units: some 20 MiB in all at the worst. */
const GENERATION = 32_768;
const LONGEST = 128;

/**
 * The segments of late pointers. Programs write to the same places again and again, and segments that were looked up before are compared
 * by pointer: measured on batches of one-leaf commits over HTTP, a fifth of a commit. Two generations: what was not asked for while one
 * filled up is forgotten.
 */
export class PointerCache {
  #young = new Map<string, readonly string[]>();
  #old = new Map<string, readonly string[]>();

  /** `parse` makes the segments of a pointer that is not here; they are shared, and frozen. */
  segments(pointer: string, parse: (pointer: string) => string[]): readonly string[] {
    if (pointer.length > LONGEST) return parse(pointer);
    const young = this.#young.get(pointer);
    if (young !== undefined) return young;
    const segments = this.#old.get(pointer) ?? Object.freeze(parse(pointer));
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(pointer, segments);
    return segments;
  }
}
