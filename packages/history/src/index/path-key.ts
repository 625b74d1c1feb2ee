import type { Path } from '@evertree/core';
import { ByteWriter } from '@evertree/core';

/** Ends each segment of a key; no segment has it. */
const SEPARATOR = 0;
/** Stands before a byte that is 0 or 1, which is written as 1 or 2. */
const ESCAPE = 1;

/** Stands for a segment with a lone surrogate, which no path of a tree has: UTF-8 has no such byte. */
const NO_KEY = Buffer.of(0xff);

/**
 * The key of a path: its bytes sort so that everything at and below a path is one range, which begins with the path's
 * own key. FORMAT.md, «Touches», is normative.
 */
export function pathKey(path: Path): Buffer {
  return Buffer.concat(path.map(segment => segmentKeyOf(segment.isWellFormed() ? Buffer.from(segment, 'utf8') : NO_KEY)));
}

/**
 * What a segment adds to the key of its path.
 * @param segment in UTF-8
 */
function segmentKeyOf(segment: Uint8Array): Buffer {
  const key = new ByteWriter(segment.length + 1);
  writeSegmentKey(key, segment);
  return key.written();
}

/** Appends what a segment adds to the key of its path. @param segment in UTF-8 */
export function writeSegmentKey(key: ByteWriter, segment: Uint8Array): void {
  // Each byte takes two at most.
  key.reserve(segment.length * 2 + 1);
  const { bytes } = key;
  for (const byte of segment) {
    if (byte > ESCAPE) {
      bytes[key.length++] = byte;
    } else {
      bytes[key.length++] = ESCAPE;
      bytes[key.length++] = byte + 1;
    }
  }
  bytes[key.length++] = SEPARATOR;
}

/** Whether `key` has, from `at` on, what the segment adds that stands in UTF-8 in `segment` from `start` to `end`. */
export function isKeyOfSegment(key: Uint8Array, at: number, segment: Uint8Array, start: number, end: number): boolean {
  let place = at;
  for (let from = start; from < end; from++) {
    const byte = segment[from]!;
    if (byte > ESCAPE) {
      if (key[place++] !== byte) return false;
    } else if (key[place++] !== ESCAPE || key[place++] !== byte + 1) {
      return false;
    }
  }
  return key[place] === SEPARATOR;
}

/** The path of a key, which is in the first bytes of a buffer. */
export function pathOf(key: Buffer, length = key.length): Path {
  const path: string[] = [];
  for (let start = 0, at = 0, escapes = 0; at < length; at++) {
    if (key[at] === ESCAPE) {
      escapes++;
      at++;
    } else if (key[at] === SEPARATOR) {
      path.push(escapes === 0 ? key.toString('utf8', start, at) : unescaped(key, start, at, escapes).toString('utf8'));
      start = at + 1;
      escapes = 0;
    }
  }
  return path;
}

/** The segments of the path of a key, in UTF-8. */
export function segmentsOf(key: Uint8Array): Buffer[] {
  const segments: Buffer[] = [];
  for (let start = 0, at = 0, escapes = 0; at < key.length; at++) {
    if (key[at] === ESCAPE) {
      escapes++;
      at++;
    } else if (key[at] === SEPARATOR) {
      segments.push(unescaped(key, start, at, escapes));
      start = at + 1;
      escapes = 0;
    }
  }
  return segments;
}

function unescaped(key: Uint8Array, start: number, end: number, escapes: number): Buffer {
  if (escapes === 0) return Buffer.from(key.buffer, key.byteOffset + start, end - start);
  const bytes = Buffer.allocUnsafeSlow(end - start - escapes);
  for (let at = start, to = 0; at < end; at++) bytes[to++] = key[at] === ESCAPE ? key[++at]! - 1 : key[at]!;
  return bytes;
}

/** The ends of the keys of all paths above the path of a key and of the path itself, the root's first. */
export function prefixEnds(key: Uint8Array): number[] {
  const ends = [0];
  for (let at = 0; at < key.length; at++) if (key[at] === SEPARATOR) ends.push(at + 1);
  return ends;
}

/** How many segments a key has. */
export function depthOf(key: Uint8Array, length: number): number {
  let depth = 0;
  for (let at = 0; at < length; at++) if (key[at] === SEPARATOR) depth++;
  return depth;
}

/** Whether a key begins with a prefix: the path of the key is that of the prefix, or below it. */
export function isWithin(key: Uint8Array, length: number, prefix: Uint8Array): boolean {
  if (length < prefix.length) return false;
  for (let at = prefix.length - 1; at >= 0; at--) if (key[at] !== prefix[at]) return false;
  return true;
}

/** Compares two keys, each in the first bytes of a buffer. */
export function compareKeys(a: Uint8Array, aLength: number, b: Uint8Array, bLength: number): number {
  const length = aLength < bLength ? aLength : bLength;
  for (let at = 0; at < length; at++) {
    const difference = a[at]! - b[at]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}
