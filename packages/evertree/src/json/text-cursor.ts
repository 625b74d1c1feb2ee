import { isUtf8 } from 'node:buffer';
import { EvertreeError } from '@evertree/core';
import { notJson, type FaultLocation } from './exact.ts';

/** Bytes enough for the characters that an error shows. */
const SHOWN_BYTES = 80;
const SHOWN_CHARACTERS = 20;

const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;

/** A place in the bytes of a text that is read from its beginning on, and how errors name such places. */
export class TextCursor {
  readonly bytes: Buffer;
  /** Everything before it has been read. */
  #offset = 0;
  /** Of `#offset`, from 1, the column in UTF-16 units. */
  #line = 1;
  #column = 1;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  /** The byte that is read next; undefined at the end. */
  get byte(): number | undefined {
    return this.bytes[this.#offset];
  }

  skipBlanks(): void {
    let end = this.#offset;
    for (let byte = this.bytes[end]; byte === SPACE || byte === NEWLINE || byte === RETURN || byte === TAB; byte = this.bytes[end]) end++;
    if (end > this.#offset) this.pass(this.decode(this.#offset, end), end);
  }

  /** @throws EvertreeError VALUE_INVALID where another byte stands */
  take(byte: number): void {
    if (this.bytes[this.#offset] !== byte) this.refuse();
    this.#offset++;
    this.#column++;
  }

  /** Moves on to `end`, behind `text`. */
  pass(text: string, end: number): void {
    const { line, column } = this.place(text, text.length);
    this.#line = line;
    this.#column = column;
    this.#offset = end;
  }

  /** Line and column of an offset in the text that begins at the cursor. */
  place(text: string, offset: number): { readonly line: number; readonly column: number } {
    let line = this.#line;
    let start = 1 - this.#column;
    for (let end = text.indexOf('\n'); end !== -1 && end < offset; end = text.indexOf('\n', end + 1)) {
      line++;
      start = end + 1;
    }
    return { line, column: offset - start + 1 };
  }

  /** @throws EvertreeError VALUE_INVALID for bytes that are not UTF-8 */
  decode(start: number, end: number): string {
    const bytes = this.bytes.subarray(start, end);
    if (!isUtf8(bytes)) throw new EvertreeError('VALUE_INVALID', 'the body is not UTF-8');
    return bytes.toString('utf8');
  }

  /** @param text what begins at the cursor, with a fault at `offset` */
  faultAt(text: string, offset: number): FaultLocation {
    return { ...this.place(text, offset), ...this.#around(this.#offset + Buffer.byteLength(text.slice(0, offset))) };
  }

  /** @throws EvertreeError VALUE_INVALID, as of a text that is not JSON from the offset on */
  refuse(): never {
    throw notJson({ line: this.#line, column: this.#column, ...this.#around(this.#offset) });
  }

  #around(offset: number): Pick<FaultLocation, 'rest' | 'before'> {
    const rest = this.bytes.toString('utf8', offset, offset + SHOWN_BYTES).slice(0, SHOWN_CHARACTERS);
    let before = offset - 1;
    while (before >= 0 && this.bytes[before]! <= SPACE) before--;
    return { rest, before: before < 0 ? '' : String.fromCharCode(this.bytes[before]!) };
  }
}
