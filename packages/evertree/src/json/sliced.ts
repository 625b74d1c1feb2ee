import type { Path } from '@evertree/core';
import { notJson, parseExactJson, parseExcerpt, type Excerpt } from './exact.ts';
import { faultOffset, faultSteps, locate } from './location.ts';
import { TextCursor } from './text-cursor.ts';
import { CLOSE_ARRAY, CLOSE_OBJECT, COMMA, endOfMembers, endOfString, endOfValue, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from './value-ends.ts';

/** Members are parsed together up to so many bytes: some tenths of a millisecond of work. */
export const PIECE_BYTES = 16 * 1024;
/**
 * Larger containers are entered down to this level; deeper ones are one piece. It bounds how often a byte is looked at.
 */
const ENTERED_LEVELS = 16;
const COLON = 58;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/**
 * Reads a JSON text as parseExactJson does, and pauses after each piece of at most 16 KiB. A longer string is one
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
  readonly #cursor: TextCursor;
  /** Open containers, the outermost first. */
  readonly #levels: OpenContainer[] = [];
  /** Where the container stands that is read now. */
  readonly #path: string[];
  readonly #keys: ObjectKeys;

  constructor(bytes: Buffer, at: Path, keys: ObjectKeys) {
    this.#cursor = new TextCursor(bytes);
    this.#keys = keys;
    this.#path = [...at];
  }

  *parse(): Generator<void, unknown, void> {
    const cursor = this.#cursor;
    const { bytes } = cursor;
    cursor.skipBlanks();
    if (bytes.length <= PIECE_BYTES || !this.#atContainer()) {
      const text = cursor.decode(0, bytes.length);
      if (bytes.length > PIECE_BYTES) yield;
      return parseExactJson(text, this.#path);
    }
    const root = this.#enter();
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const end = endOfMembers(bytes, cursor.offset, Math.min(bytes.length, cursor.offset + PIECE_BYTES));
      if (end === undefined) yield* this.#readLargeMember(level);
      else this.#readMembers(level, end);
      yield;
    }
    cursor.skipBlanks();
    if (cursor.offset < bytes.length) cursor.refuse();
    return root;
  }

  /** Reads the members up to `end`: a comma, or the end of their container. */
  #readMembers(level: OpenContainer, end: number): void {
    const { members } = level;
    const cursor = this.#cursor;
    const text = cursor.decode(cursor.offset, end);
    const mayBeEmpty = level.isNew && cursor.bytes[end] !== COMMA;
    if (BLANK.test(text) && !mayBeEmpty) {
      cursor.pass(text, end);
      cursor.refuse();
    }
    if (Array.isArray(members)) for (const member of this.#parse(`[${text}]`, 1, members.length) as unknown[]) members.push(member);
    else addAll(members, level.keys, this.#parse(`{${text}}`, 1) as Record<string, unknown>);
    cursor.pass(text, end);
    this.#endMember(level);
  }

  /** Reads a member that is larger than a piece, or enters it. */
  *#readLargeMember(level: OpenContainer): Generator<void> {
    const cursor = this.#cursor;
    cursor.skipBlanks();
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
    const end = yield* endOfValue(cursor.bytes, cursor.offset);
    const text = cursor.decode(cursor.offset, end ?? cursor.bytes.length);
    // JSON.parse would hold the event loop for long, only to refuse what nests deep.
    if (end === undefined) throw notJson(cursor.faultAt(text, yield* faultSteps(text)));
    add(this.#parse(text, 0));
    this.#path.pop();
    cursor.pass(text, end);
    cursor.skipBlanks();
    this.#endMember(level);
  }

  #readKey(): string {
    const cursor = this.#cursor;
    if (cursor.byte !== QUOTE) cursor.refuse();
    const end = Math.min(endOfString(cursor.bytes, cursor.offset, cursor.bytes.length) + 1, cursor.bytes.length);
    const text = cursor.decode(cursor.offset, end);
    const key = this.#parse(text, 0) as string;
    cursor.pass(text, end);
    cursor.skipBlanks();
    cursor.take(COLON);
    cursor.skipBlanks();
    return key;
  }

  /** Goes on behind a member: after its comma, or after the end of its container and of all that ends with that. */
  #endMember(level: OpenContainer): void {
    level.isNew = false;
    for (let open: OpenContainer | undefined = level; open !== undefined; open = this.#levels.at(-1)) {
      if (this.#cursor.byte === COMMA) {
        this.#cursor.take(COMMA);
        return;
      }
      this.#cursor.take(Array.isArray(open.members) ? CLOSE_ARRAY : CLOSE_OBJECT);
      this.#levels.pop();
      if (this.#levels.length > 0) this.#path.pop();
      this.#cursor.skipBlanks();
    }
  }

  #atContainer(): boolean {
    const { byte } = this.#cursor;
    return byte === OPEN_ARRAY || byte === OPEN_OBJECT;
  }

  #atEnd(): boolean {
    const { byte } = this.#cursor;
    return byte === CLOSE_ARRAY || byte === CLOSE_OBJECT;
  }

  #enter(): Members {
    const members: Members = this.#cursor.byte === OPEN_ARRAY ? [] : {};
    this.#cursor.take(Array.isArray(members) ? OPEN_ARRAY : OPEN_OBJECT);
    const keys: string[] = [];
    this.#levels.push({ members, keys, isNew: true });
    if (!Array.isArray(members)) this.#keys.set(members, keys);
    return members;
  }

  /**
   * @param text what begins at the cursor, after `lead` brackets that stand for the container's
   * @param firstIndex of the first member, in an array
   */
  #parse(text: string, lead: number, firstIndex = 0): unknown {
    const excerpt: Excerpt = {
      locateFault: () => this.#cursor.faultAt(text.slice(lead), faultOffset(text) - lead),
      locateNumber: offset => {
        const [first, ...path] = locate(text, offset).path;
        const place = this.#cursor.place(text.slice(lead), offset - lead);
        if (first === undefined) return { ...place, path: this.#path };
        const isIndex = text.startsWith('[') && lead > 0;
        return { ...place, path: [...this.#path, isIndex ? String(Number(first) + firstIndex) : first, ...path] };
      },
    };
    return parseExcerpt(text, excerpt);
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
