// Bytes of JSON's punctuation.
export const QUOTE = 34;
export const COMMA = 44;
export const OPEN_ARRAY = 91;
export const CLOSE_ARRAY = 93;
export const OPEN_OBJECT = 123;
export const CLOSE_OBJECT = 125;
const BACKSLASH = 92;

/**
 * The last end of a member before `most`: its comma, or the end of the container. Undefined: the first member is larger
 * than that.
 */
export function endOfMembers(bytes: Buffer, start: number, most: number): number | undefined {
  let end: number | undefined;
  let depth = 0;
  for (let index = start; index < most; index++) {
    const byte = bytes[index]!;
    if (byte === QUOTE) {
      index = endOfString(bytes, index, most);
    } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      depth++;
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      if (depth === 0) return index;
      depth--;
    } else if (byte === COMMA && depth === 0) {
      end = index;
    }
  }
  return end;
}

/** Bytes that `endOfValue` looks at between two pauses: some tenths of a millisecond of work. */
const BYTES_A_STEP = 256 * 1024;

/**
 * The end of the value that begins at `start`, judged by brackets and quotes only, in steps. Undefined for a container
 * without an end.
 */
export function* endOfValue(bytes: Buffer, start: number): Generator<void, number | undefined, void> {
  const search = new ValueEndSearch(bytes, start);
  for (let most = start + BYTES_A_STEP; !search.goOn(Math.min(most, bytes.length)) && most < bytes.length; most += BYTES_A_STEP) yield;
  return search.end;
}

class ValueEndSearch {
  readonly #bytes: Buffer;
  #at: number;
  #depth = 0;
  #isInString = false;
  #end: number | undefined;

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  /** The end, where it was found; at the end of the bytes that of a value which ends with them. */
  get end(): number | undefined {
    return this.#end ?? (this.#depth > 0 ? undefined : this.#bytes.length);
  }

  /** Looks at the bytes before `most`, and at one more behind a backslash. @returns whether the end was found */
  goOn(most: number): boolean {
    while (this.#at < most && this.#end === undefined) {
      if (this.#isInString || this.#bytes[this.#at] === QUOTE) this.#passString(most);
      else this.#passBrackets(most);
    }
    return this.#end !== undefined;
  }

  #passString(most: number): void {
    const end = endOfString(this.#bytes, this.#isInString ? this.#at - 1 : this.#at, most);
    this.#isInString = end >= most;
    this.#at = this.#isInString ? end : end + 1;
    if (!this.#isInString && this.#depth === 0) this.#end = this.#at;
  }

  /** Up to the next string. */
  #passBrackets(most: number): void {
    const bytes = this.#bytes;
    let depth = this.#depth;
    let at = this.#at;
    for (; at < most; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) break;
      if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        depth++;
      } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
        if (depth === 0) this.#end = at;
        else if (--depth === 0) this.#end = at + 1;
      } else if (byte === COMMA && depth === 0) {
        this.#end = at;
      }
      if (this.#end !== undefined) break;
    }
    this.#at = at;
    this.#depth = depth;
  }
}

/**
 * Where the string that begins at `start` has its closing quote. Where it has none before `most`: the first byte from
 * there on at which an escape does not go on.
 */
export function endOfString(bytes: Buffer, start: number, most: number): number {
  let index = start + 1;
  for (; index < most; index++) {
    if (bytes[index] === QUOTE) return index;
    if (bytes[index] === BACKSLASH) index++;
  }
  return index;
}
