import { EvertreeError } from '../errors.ts';
import { DEPTH_LIMIT, KEY_LIMIT, POINTER_LIMIT } from './limits.ts';

/**
 * The most pointers of one generation, and the longest pointer that is kept, in UTF-16 units. At most some 20 MiB in
 * all.
 */
const GENERATION = 32_768;
const LONGEST = 128;

/** The segments of a path, from the root. */
export type Path = readonly string[];

/** What callers may write: an RFC 6901 pointer or an array of segments. */
export type PathLike = string | Path;

export const ROOT: Path = Object.freeze([]);

/**
 * Makes segments of a path.
 * @throws EvertreeError PATH_INVALID naming the path, what is wrong and how to write it
 */
export function parsePath(path: PathLike): Path {
  if (typeof path !== 'string') return checkSegments(path);
  return path === '' ? ROOT : pointers.segments(path, parsePointer);
}

function parsePointer(path: string): string[] {
  if (path.charCodeAt(0) !== 47) {
    throw invalidPath(path, `does not begin with "/"; write ${JSON.stringify(`/${path}`)}, or "" for the root`);
  }
  if (path.length > POINTER_LIMIT) throw invalidPath(`${path.slice(0, 40)}…`, `is longer than ${POINTER_LIMIT} characters`);
  const segments = path.slice(1).split('/');
  if (segments.length > DEPTH_LIMIT) throw tooDeep(segments);
  return path.includes('~') ? segments.map(segment => unescape(segment, path)) : segments;
}

/** The longest path that leads to both. */
export function commonPath(one: Path, other: Path): Path {
  const differs = one.findIndex((segment, level) => segment !== other[level]);
  return differs < 0 ? one : one.slice(0, differs);
}

/** The RFC 6901 pointer. */
export function formatPath(path: Path): string {
  let pointer = '';
  for (const segment of path) {
    pointer += `/${segment.includes('~') || segment.includes('/') ? segment.replaceAll('~', '~0').replaceAll('/', '~1') : segment}`;
  }
  return pointer;
}

export function invalidPath(path: PathLike, problem: string): EvertreeError {
  const pointer = typeof path === 'string' ? path : formatPath(path);
  return new EvertreeError('PATH_INVALID', `the path ${JSON.stringify(pointer)} ${problem}`, { path: pointer });
}

function unescape(segment: string, pointer: string): string {
  if (!segment.includes('~')) return segment;
  if (/~(?![01])/.test(segment)) throw invalidPath(pointer, 'has a "~" that is neither "~0" (for "~") nor "~1" (for "/")');
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

/**
 * Copies the segments, so that the caller may go on using its array. checkNewKeys checks their text where they become
 * keys.
 */
function checkSegments(path: unknown): Path {
  if (!Array.isArray(path)) {
    const found = path === null ? 'null' : typeof path;
    throw new EvertreeError('PATH_INVALID', `a path is a pointer such as "/a/b" or an array of strings, not ${found}`);
  }
  if (path.length > DEPTH_LIMIT) throw tooDeep(path);
  for (let index = 0; index < path.length; index++) {
    const segment: unknown = path[index];
    if (typeof segment === 'string') continue;
    const found = segment === null ? 'null' : `a ${typeof segment}`;
    throw new EvertreeError('PATH_INVALID', `segment ${index} of a path is ${found}, not a string`);
  }
  return path.slice() as string[];
}

/** Paths of so many segments at most are copied into arrays that are used again. */
const REUSED_SEGMENTS = 16;

/**
 * As parsePath, for a reader that is done with a path before it asks for the next one: segments of an array are copied
 * into an array that the next path of as many segments overwrites. Measured: a new array for each commit takes a
 * twentieth of its time, with what its collection takes.
 */
export class PathReader {
  /** By their length. All are filled by `push`: V8 takes an array that is made with its length for one with holes. */
  readonly #arrays: string[][] = [];

  constructor() {
    for (let length = 0; length <= REUSED_SEGMENTS; length++) {
      const segments: string[] = [];
      while (segments.length < length) segments.push('');
      this.#arrays.push(segments);
    }
  }

  /** @throws EvertreeError PATH_INVALID */
  read(path: PathLike): Path {
    const segments = Array.isArray(path) ? this.#arrays[path.length] : undefined;
    if (segments === undefined) return parsePath(path);
    for (let index = 0; index < segments.length; index++) {
      const segment: unknown = path[index];
      if (typeof segment !== 'string') return parsePath(path);
      segments[index] = segment;
    }
    return segments;
  }
}

/**
 * Checks that the segments of a path from `level` on can become keys.
 * @throws EvertreeError PATH_INVALID
 */
export function checkNewKeys(path: Path, level: number): void {
  for (let index = level; index < path.length; index++) {
    const segment = path[index]!;
    if (!segment.isWellFormed()) throw invalidPath([segment.toWellFormed()], 'has a lone surrogate');
    if (segment.length > KEY_LIMIT) throw invalidPath([`${segment.slice(0, 40)}…`], `is a key longer than ${KEY_LIMIT} characters`);
  }
}

/** @throws EvertreeError PATH_INVALID if the path has too many segments */
export function checkDepth(path: Path): Path {
  if (path.length > DEPTH_LIMIT) throw tooDeep(path);
  return path;
}

function tooDeep(segments: readonly unknown[]): EvertreeError {
  return new EvertreeError('PATH_INVALID', `a path of ${segments.length} segments is too deep; the limit is ${DEPTH_LIMIT}`);
}

/**
 * The segments of recent pointers. Programs write to the same paths again and again, and V8 compares strings that it
 * has seen as keys by address: this saves a fifth of a commit, measured on batches of one-leaf commits over HTTP. There
 * are two generations: a pointer that was not asked for while one of them filled up is forgotten.
 */
class PointerCache {
  #young = new Map<string, readonly string[]>();
  #old = new Map<string, readonly string[]>();

  /** @param parse makes the segments of a pointer that is not here. @returns frozen segments, which callers share */
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

const pointers = new PointerCache();

/** The most last segments that a PointerReader remembers, and the longest pointer of which it does: a part may hold it. */
const READER_KEYS = 4_096;
const READER_POINTER_LENGTH = 256;

/**
 * Makes segments of many pointers, most of which are read once and follow others with the same parents. Measured on
 * patches of 100,000 operations: the cache, which keeps what comes again, took a quarter of their time.
 */
export class PointerReader {
  /** The text of the last pointer's parents, up to its last slash, and their segments. */
  #above = '';
  #parents: Path = ROOT;
  readonly #keys = new Map<string, string>();

  /** @throws EvertreeError PATH_INVALID, as parsePath */
  read(pointer: string): Path {
    if (pointer === '') return ROOT;
    const slash = pointer.lastIndexOf('/') + 1;
    if (slash === this.#above.length && slash > 0 && pointer.length <= POINTER_LIMIT && pointer.startsWith(this.#above)) {
      const key = pointer.slice(slash);
      if (!key.includes('~')) return [...this.#parents, pointer.length > READER_POINTER_LENGTH ? key : this.#known(key)];
    }
    const segments = parsePointer(pointer);
    this.#above = pointer.slice(0, slash);
    this.#parents = segments.slice(0, -1);
    return segments;
  }

  /** One string for equal keys: V8 finds a string that was a key before much faster. */
  #known(key: string): string {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    if (this.#keys.size < READER_KEYS) this.#keys.set(key, key);
    return key;
  }
}
