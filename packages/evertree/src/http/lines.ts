import { isAscii, isUtf8 } from 'node:buffer';
import { EvertreeError } from '@evertree/core';

const NEWLINE = 10;

/**
 * Takes a line, which begins at `start`, straight from ASCII bytes. @returns where the next one begins; undefined: it
 * left it
 */
type Shortcut = (bytes: Buffer, start: number) => number | undefined;

/** Takes a long line: nothing is handed out before it is done. */
type TakeLong = (line: Buffer) => Promise<void>;

/** Cuts the chunks of a body into lines, and hands each out once it is complete. */
export class Lines {
  readonly #limitBytes: number;
  readonly #take: (line: string) => void;
  readonly #shortcut: Shortcut;
  readonly #long: { readonly bytes: number; readonly take: TakeLong } | undefined;
  /** The chunks of the line that began and has no end yet, and their bytes. */
  #begun: Buffer[] = [];
  #begunBytes = 0;

  /**
   * @param limitBytes of one line
   * @param take gets each line without its end; what it throws, `add` and `finish` throw, and the lines after it are
   *   lost
   * @param shortcut is asked first; what it throws is treated likewise
   * @param long gets each line that came in several chunks and has more than so many bytes
   */
  constructor(
    limitBytes: number,
    take: (line: string) => void,
    shortcut: Shortcut = () => undefined,
    long?: { readonly bytes: number; readonly take: TakeLong },
  ) {
    this.#limitBytes = limitBytes;
    this.#take = take;
    this.#shortcut = shortcut;
    this.#long = long;
  }

  /** Bytes of the line that began and has no end yet. */
  get begunBytes(): number {
    return this.#begunBytes;
  }

  /**
   * Nothing else may be added before a promise that it returns is settled. Throws, or rejects with, EvertreeError
   * TOO_LARGE for a line beyond the limit, VALUE_INVALID for bytes that are not UTF-8.
   */
  add(chunk: Buffer): Promise<void> | undefined {
    const first = this.#begunBytes === 0 || this.#long === undefined ? -1 : chunk.indexOf(NEWLINE);
    if (first < 0 || !this.#isLong(first)) {
      this.#addAll(chunk);
      return undefined;
    }
    return this.#takeLong(chunk.subarray(0, first)).then(() => this.#addAll(chunk.subarray(first + 1)));
  }

  /** The last line may have no end. As `add`. */
  finish(): Promise<void> | undefined {
    if (this.#isLong(0)) return this.#takeLong(Buffer.alloc(0));
    if (this.#begunBytes > 0) this.#takeAll(this.#withBegun(Buffer.alloc(0)));
    return undefined;
  }

  /** Whether the line that began is a long one with so many bytes more. */
  #isLong(bytes: number): boolean {
    return this.#long !== undefined && this.#begunBytes > 0 && this.#begunBytes + bytes > this.#long.bytes;
  }

  /** @param end of the line, without its newline */
  #takeLong(end: Buffer): Promise<void> {
    const line = this.#withBegun(end);
    if (!isUtf8(line)) throw notUtf8();
    return this.#long!.take(line);
  }

  #addAll(chunk: Buffer): void {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end >= 0) this.#takeAll(this.#withBegun(chunk.subarray(0, end)));
    const rest = end < 0 ? chunk : chunk.subarray(end + 1);
    if (rest.length === 0) return;
    this.#begun.push(rest);
    this.#begunBytes += rest.length;
    if (this.#begunBytes > this.#limitBytes) {
      throw new EvertreeError('TOO_LARGE', `the line is longer than ${this.#limitBytes} bytes, the limit`, {
        limitBytes: this.#limitBytes,
      });
    }
  }

  #withBegun(bytes: Buffer): Buffer {
    if (this.#begunBytes === 0) return bytes;
    const whole = Buffer.concat([...this.#begun, bytes]);
    this.#begun = [];
    this.#begunBytes = 0;
    return whole;
  }

  #takeAll(bytes: Buffer): void {
    if (isAscii(bytes)) this.#takeAscii(bytes);
    else if (isUtf8(bytes)) this.#takeText(bytes.toString('utf8'));
    else this.#takeEach(bytes);
  }

  #takeAscii(bytes: Buffer): void {
    // Made when a line asks for it, of all lines at once: a call for each would cost more than parsing it.
    let text: string | undefined;
    for (let start = 0; start <= bytes.length;) {
      const next = this.#shortcut(bytes, start);
      if (next !== undefined) {
        start = next;
        continue;
      }
      text ??= bytes.toString('latin1');
      const newline = text.indexOf('\n', start);
      const end = newline < 0 ? bytes.length : newline;
      this.#take(text.slice(start, end));
      start = end + 1;
    }
  }

  #takeText(text: string): void {
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      this.#take(text.slice(start, end));
      start = end + 1;
    }
    this.#take(text.slice(start));
  }

  /** Hands out the lines before the one that is not UTF-8. */
  #takeEach(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); start <= bytes.length; end = bytes.indexOf(NEWLINE, start)) {
      const line = bytes.subarray(start, end < 0 ? bytes.length : end);
      if (!isUtf8(line)) throw notUtf8();
      this.#take(line.toString('utf8'));
      start += line.length + 1;
    }
  }
}

function notUtf8(): EvertreeError {
  return new EvertreeError('VALUE_INVALID', 'the line is not UTF-8');
}
