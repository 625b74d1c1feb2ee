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
      index = endOfString(bytes, index);
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

/**
 * The end of the value that begins at `start`, judged by brackets and quotes only. Undefined for a container without an
 * end.
 */
export function endOfValue(bytes: Buffer, start: number): number | undefined {
  let depth = 0;
  for (let index = start; index < bytes.length; index++) {
    const byte = bytes[index]!;
    if (byte === QUOTE) {
      index = endOfString(bytes, index);
      if (depth === 0) return Math.min(index + 1, bytes.length);
    } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      depth++;
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      if (depth === 0) return index;
      if (--depth === 0) return index + 1;
    } else if (byte === COMMA && depth === 0) {
      return index;
    }
  }
  return depth > 0 ? undefined : bytes.length;
}

/** Where the string that begins at `start` has its closing quote; the end of the bytes where it has none. */
export function endOfString(bytes: Buffer, start: number): number {
  for (let index = start + 1; index < bytes.length; index++) {
    if (bytes[index] === QUOTE) return index;
    if (bytes[index] === BACKSLASH) index++;
  }
  return bytes.length;
}
