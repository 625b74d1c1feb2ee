import { isUtf8 } from 'node:buffer';
import { EvertreeError, type Path } from '@evertree/core';
import { notJson, parseExactJson, parseExcerpt, type Excerpt, type FaultLocation } from './exact.ts';
import { faultOffset, faultSteps, locate } from './location.ts';

/** Members are parsed together up to so many bytes: a millisecond of work. */
export const PIECE_BYTES = 64 * 1024;
/**
 * Larger containers are entered down to this level; deeper ones are one piece. It bounds how often a byte is looked at.
 */
const ENTERED_LEVELS = 16;
/** Bytes enough for the characters that an error shows. */
const SHOWN_BYTES = 80;
const SHOWN_CHARACTERS = 20;

const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/**
 * Reads a JSON text as parseExactJson does, and pauses after each piece of at most 64 KiB. A longer string is one
 * piece, and so is a longer container below the 16th level that has an end.
 * @param at the path at which the value will stand, for errors
 * @param keys receives the keys of each object that is larger than a piece, each key once: to list them when the object
 *   is read takes half a second for a million of them
 * @throws EvertreeError VALUE_INVALID, also for bytes that are not UTF-8
 */
export function parseSliced(bytes: Buffer, at: Path = [], keys: ObjectKeys = new Map()): Generator<void, unknown, void> {
  return new SlicedParser(bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? bytes.subarray(3) : bytes, at, keys).parse();
}

/** Keys of objects. */
export type ObjectKeys = Map<object, string[]>;

type Members = unknown[] | Record<string, unknown>;

/** A container that is being read, member by member. */
interface OpenContainer {
  readonly members: Members;
  /** Those of `members`, each once; empty for an array. */
  readonly keys: string[];
  /** Nothing has been read of it: it may be closed at once. */
  isNew: boolean;
}

class SlicedParser {
  readonly #bytes: Buffer;
  /** Open containers, the outermost first. */
  readonly #levels: OpenContainer[] = [];
  /** Where the container stands that is read now. */
  readonly #path: string[];
  /** Everything before it has been read. */
  #offset = 0;
  /** Of `#offset`, from 1, the column in UTF-16 units. */
  #line = 1;
  #column = 1;
  readonly #keys: ObjectKeys;

  constructor(bytes: Buffer, at: Path, keys: ObjectKeys) {
    this.#bytes = bytes;
    this.#keys = keys;
    this.#path = [...at];
  }

  *parse(): Generator<void, unknown, void> {
    this.#skipBlanks();
    if (this.#bytes.length <= PIECE_BYTES || !this.#atContainer()) return parseExactJson(this.#decode(0, this.#bytes.length), this.#path);
    const root = this.#enter();
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const end = this.#endOfMembers();
      if (end === undefined) yield* this.#readLargeMember(level);
      else this.#readMembers(level, end);
      yield;
    }
    this.#skipBlanks();
    if (this.#offset < this.#bytes.length) this.#refuse();
    return root;
  }

  /** Reads the members up to `end`: a comma, or the end of their container. */
  #readMembers(level: OpenContainer, end: number): void {
    const { members } = level;
    const text = this.#decode(this.#offset, end);
    const mayBeEmpty = level.isNew && this.#bytes[end] !== COMMA;
    if (BLANK.test(text) && !mayBeEmpty) {
      this.#pass(text, end);
      this.#refuse();
    }
    if (Array.isArray(members)) for (const member of this.#parse(`[${text}]`, 1, members.length) as unknown[]) members.push(member);
    else addAll(members, level.keys, this.#parse(`{${text}}`, 1) as Record<string, unknown>);
    this.#pass(text, end);
    this.#endMember(level);
  }

  /** Reads a member that is larger than a piece, or enters it. */
  *#readLargeMember(level: OpenContainer): Generator<void> {
    this.#skipBlanks();
    // An empty container with more blanks than a piece has bytes.
    if (level.isNew && this.#atEnd()) return this.#endMember(level);
    const { members, keys } = level;
    const key = Array.isArray(members) ? String(members.length) : this.#readKey();
    const add = (value: unknown): void => (Array.isArray(members) ? void members.push(value) : addMember(members, keys, key, value));
    this.#path.push(key);
    level.isNew = false;
    if (this.#atContainer() && this.#levels.length < ENTERED_LEVELS) {
      add(this.#enter());
      return;
    }
    const end = this.#endOfValue();
    const text = this.#decode(this.#offset, end ?? this.#bytes.length);
    // JSON.parse would hold the event loop for long, only to refuse what nests deep.
    if (end === undefined) throw notJson(this.#faultAt(text, yield* faultSteps(text)));
    add(this.#parse(text, 0));
    this.#path.pop();
    this.#pass(text, end);
    this.#skipBlanks();
    this.#endMember(level);
  }

  #readKey(): string {
    if (this.#bytes[this.#offset] !== QUOTE) this.#refuse();
    const end = Math.min(this.#endOfString(this.#offset) + 1, this.#bytes.length);
    const text = this.#decode(this.#offset, end);
    const key = this.#parse(text, 0) as string;
    this.#pass(text, end);
    this.#skipBlanks();
    this.#take(COLON);
    this.#skipBlanks();
    return key;
  }

  /** Goes on behind a member: after its comma, or after the end of its container and of all that ends with that. */
  #endMember(level: OpenContainer): void {
    level.isNew = false;
    for (let open: OpenContainer | undefined = level; open !== undefined; open = this.#levels.at(-1)) {
      if (this.#bytes[this.#offset] === COMMA) {
        this.#take(COMMA);
        return;
      }
      this.#take(Array.isArray(open.members) ? CLOSE_ARRAY : CLOSE_OBJECT);
      this.#levels.pop();
      if (this.#levels.length > 0) this.#path.pop();
      this.#skipBlanks();
    }
  }

  #atContainer(): boolean {
    const byte = this.#bytes[this.#offset];
    return byte === OPEN_ARRAY || byte === OPEN_OBJECT;
  }

  #atEnd(): boolean {
    const byte = this.#bytes[this.#offset];
    return byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;
  }

  #enter(): Members {
    const members: Members = this.#bytes[this.#offset] === OPEN_ARRAY ? [] : {};
    this.#take(Array.isArray(members) ? OPEN_ARRAY : OPEN_OBJECT);
    const keys: string[] = [];
    this.#levels.push({ members, keys, isNew: true });
    if (!Array.isArray(members)) this.#keys.set(members, keys);
    return members;
  }

  /**
   * The last end of a member within a piece: its comma, or the end of the container. Undefined: the next member is
   * larger than that.
   */
  #endOfMembers(): number | undefined {
    const bytes = this.#bytes;
    const most = Math.min(bytes.length, this.#offset + PIECE_BYTES);
    let end: number | undefined;
    let depth = 0;
    for (let index = this.#offset; index < most; index++) {
      const byte = bytes[index]!;
      if (byte === QUOTE) {
        index = this.#endOfString(index);
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

  /** The end of the value at `#offset`, judged by brackets and quotes only. Undefined for a container without an end. */
  #endOfValue(): number | undefined {
    const bytes = this.#bytes;
    let depth = 0;
    for (let index = this.#offset; index < bytes.length; index++) {
      const byte = bytes[index]!;
      if (byte === QUOTE) {
        index = this.#endOfString(index);
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
  #endOfString(start: number): number {
    const bytes = this.#bytes;
    for (let index = start + 1; index < bytes.length; index++) {
      if (bytes[index] === QUOTE) return index;
      if (bytes[index] === BACKSLASH) index++;
    }
    return bytes.length;
  }

  #skipBlanks(): void {
    let end = this.#offset;
    for (let byte = this.#bytes[end]; byte === SPACE || byte === NEWLINE || byte === RETURN || byte === TAB; byte = this.#bytes[end]) end++;
    if (end > this.#offset) this.#pass(this.#decode(this.#offset, end), end);
  }

  /** @throws EvertreeError VALUE_INVALID where another byte stands */
  #take(byte: number): void {
    if (this.#bytes[this.#offset] !== byte) this.#refuse();
    this.#offset++;
    this.#column++;
  }

  /** Moves on to `end`, behind `text`. */
  #pass(text: string, end: number): void {
    const { line, column } = this.#place(text, text.length);
    this.#line = line;
    this.#column = column;
    this.#offset = end;
  }

  /** Line and column of an offset in the text that begins at `#offset`. */
  #place(text: string, offset: number): { readonly line: number; readonly column: number } {
    let line = this.#line;
    let start = 1 - this.#column;
    for (let end = text.indexOf('\n'); end !== -1 && end < offset; end = text.indexOf('\n', end + 1)) {
      line++;
      start = end + 1;
    }
    return { line, column: offset - start + 1 };
  }

  /** @throws EvertreeError VALUE_INVALID */
  #decode(start: number, end: number): string {
    const bytes = this.#bytes.subarray(start, end);
    if (!isUtf8(bytes)) throw new EvertreeError('VALUE_INVALID', 'the body is not UTF-8');
    return bytes.toString('utf8');
  }

  /**
   * @param text what begins at `#offset`, after `lead` brackets that stand for the container's
   * @param firstIndex of the first member, in an array
   */
  #parse(text: string, lead: number, firstIndex = 0): unknown {
    const excerpt: Excerpt = {
      locateFault: () => this.#faultAt(text.slice(lead), faultOffset(text) - lead),
      locateNumber: offset => {
        const [first, ...path] = locate(text, offset).path;
        const place = this.#place(text.slice(lead), offset - lead);
        if (first === undefined) return { ...place, path: this.#path };
        const isIndex = text.startsWith('[') && lead > 0;
        return { ...place, path: [...this.#path, isIndex ? String(Number(first) + firstIndex) : first, ...path] };
      },
    };
    return parseExcerpt(text, excerpt);
  }

  /** @param text what begins at `#offset`, with a fault at `offset` */
  #faultAt(text: string, offset: number): FaultLocation {
    return { ...this.#place(text, offset), rest: this.#shown(this.#offset + Buffer.byteLength(text.slice(0, offset))) };
  }

  #refuse(): never {
    throw notJson({ line: this.#line, column: this.#column, rest: this.#shown(this.#offset) });
  }

  #shown(offset: number): string {
    return this.#bytes.toString('utf8', offset, offset + SHOWN_BYTES).slice(0, SHOWN_CHARACTERS);
  }
}

const BLANK = /^[ \t\n\r]*$/;

function addAll(members: Record<string, unknown>, keys: string[], more: Record<string, unknown>): void {
  for (const key of Object.keys(more)) addMember(members, keys, key, more[key]);
}

function addMember(members: Record<string, unknown>, keys: string[], key: string, value: unknown): void {
  if (!Object.hasOwn(members, key)) keys.push(key);
  // An assignment would set the prototype.
  if (key === '__proto__') Object.defineProperty(members, key, { value, enumerable: true, configurable: true, writable: true });
  else members[key] = value;
}
