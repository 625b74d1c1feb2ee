import { ARRAY, OBJECT } from './binary-format.ts';
import { malformed, type BinaryBodyReader } from './binary-reader.ts';
import { hashLeaf, lanes } from '../tree/digest.ts';
import { DEPTH_LIMIT } from '../tree/limits.ts';
import { MadeArray, MadeObject } from '../tree/made-array.ts';
import type { Value } from '../tree/value.ts';

/** Levels of a value that are read. No tree is so deep; recursion, which other readers use, ends at twice that. */
const LEVELS_LIMIT = 4 * DEPTH_LIMIT;

/** @throws EvertreeError FORMAT_INVALID for a value with more levels than any reader can take */
export function assertLevels(levels: number): void {
  if (levels > LEVELS_LIMIT) throw malformed('a value with too many levels');
}

/** A container inside the array, or the array itself. */
interface ReadLevel {
  readonly made: MadeArray | MadeObject;
  /** Its key in the object above; empty in an array. */
  readonly key: string;
  readonly size: number;
  /** Members or items that are still to come. */
  left: number;
}

/** Reads an array from a body piece by piece, after its first byte, and computes its digest on the way. */
export class ArrayReading {
  readonly #from: BinaryBodyReader;
  /** The innermost level; undefined once the array is read. */
  #level: ReadLevel | undefined;
  /** The levels around it, the outermost first. */
  readonly #above: ReadLevel[] = [];
  /** Items that arrays got room for. Each takes a byte of the body at least: a length may have been made up. */
  #expected = 0;
  #array: readonly Value[] = [];

  constructor(from: BinaryBodyReader) {
    this.#from = from;
    this.#level = this.#enter(ARRAY, '');
  }

  /** The array, once all of it is read; its digest is in `lanes` then. */
  get array(): readonly Value[] {
    return this.#array;
  }

  /**
   * Goes on up to about an offset of the body.
   * @returns whether the array is read
   * @throws EvertreeError FORMAT_INVALID
   */
  readTo(offset: number): boolean {
    const from = this.#from;
    for (let level = this.#level; level !== undefined;) {
      if (level.left === 0) {
        this.#level = level = this.#leave(level);
        continue;
      }
      if (from.at >= offset) return false;
      level.left--;
      const key = level.made instanceof MadeObject ? from.keys.text(from.key(0)) : '';
      const tag = from.byte();
      if (tag === ARRAY || tag === OBJECT) {
        this.#above.push(level);
        this.#level = level = this.#enter(tag, key);
        continue;
      }
      const leaf = from.value(tag) as Value;
      hashLeaf(leaf);
      level.made.add(key, leaf, lanes.lo, lanes.hi);
    }
    return true;
  }

  #enter(tag: number, key: string): ReadLevel {
    assertLevels(this.#above.length);
    const size = this.#from.varint();
    return { made: tag === ARRAY ? new MadeArray(size, this.#roomFor(size)) : new MadeObject(), key, size, left: size };
  }

  #roomFor(size: number): number {
    if (this.#expected + size > this.#from.body.length) return 0;
    this.#expected += size;
    return size;
  }

  /** Adds the innermost level to the one above. @returns that one */
  #leave({ made, key, size }: ReadLevel): ReadLevel | undefined {
    const value = made.close();
    // A key that comes twice counts once.
    if (made instanceof MadeObject && Object.keys(value as object).length !== size) hashLeaf(value);
    const above = this.#above.pop();
    if (above === undefined) this.#array = value as readonly Value[];
    else above.made.add(key, value, lanes.lo, lanes.hi);
    return above;
  }
}
