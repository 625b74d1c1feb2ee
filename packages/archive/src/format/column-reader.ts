/** Columns that no writer made. */
export class MalformedColumns extends Error {}

/** Where columns are read, one after the other. */
export class ColumnsCursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  length(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new MalformedColumns('a column is missing');
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new MalformedColumns('a column is too long');
  }

  /** @returns where the next bytes begin that it steps over */
  take(count: number): number {
    const start = this.at;
    this.at += count;
    if (this.at > this.bytes.length) throw new MalformedColumns('a column is cut off');
    return start;
  }

  assertEnd(): void {
    if (this.at !== this.bytes.length) throw new MalformedColumns('there are bytes behind the last column');
  }
}

/** A column of bytes. */
export class ByteColumnReader {
  readonly bytes: Buffer;
  readonly length: number;
  #at: number;
  readonly #end: number;

  constructor(cursor: ColumnsCursor) {
    const length = cursor.length();
    this.length = length;
    this.bytes = cursor.bytes;
    this.#at = cursor.take(length);
    this.#end = this.#at + length;
  }

  read(): number {
    if (this.#at === this.#end) throw new MalformedColumns('a column is too short');
    return this.bytes[this.#at++]!;
  }

  /** Steps over bytes. @returns where they begin */
  take(count: number): number {
    const start = this.#at;
    if (count > this.#end - start) throw new MalformedColumns('a column is too short');
    this.#at = start + count;
    return start;
  }

  readWide(): number {
    const at = this.take(8);
    const high = this.bytes.readUInt32LE(at + 4);
    if (high >= 0x20_0000) throw new MalformedColumns('a number is above 2^53');
    return this.bytes.readUInt32LE(at) + high * 0x1_0000_0000;
  }

  assertEnd(): void {
    if (this.#at !== this.#end) throw new MalformedColumns('a column is too long');
  }
}

/** So many codes of a column are put together from its planes at once. */
const BLOCK_CODES = 1024;

/** A column of whole numbers. */
export class NumberColumnReader {
  readonly #bytes: Buffer;
  readonly #wide: ByteColumnReader;
  readonly length: number;
  readonly #planes: number;
  /** Where the codes that are not in `codes` yet begin in the lowest plane, and where they end. */
  #left: number;
  readonly #end: number;
  /** Some codes, of which those from `at` to `count` are the next ones. A code is the number plus 1; 0 stands for one in `wide`. */
  readonly codes: Uint32Array<ArrayBuffer>;
  at = 0;
  count = 0;

  constructor(cursor: ColumnsCursor, wide: ByteColumnReader) {
    const length = cursor.length();
    this.#bytes = cursor.bytes;
    this.#wide = wide;
    this.length = length;
    this.#planes = length === 0 ? 1 : cursor.bytes[cursor.take(1)]!;
    if (this.#planes < 1 || this.#planes > 4) throw new MalformedColumns('a column has no number of planes');
    this.#left = cursor.take(length * this.#planes);
    this.#end = this.#left + length;
    this.codes = new Uint32Array(Math.min(length, BLOCK_CODES));
  }

  get isAtEnd(): boolean {
    return this.at === this.count && this.#left === this.#end;
  }

  /** The number plus 1; 0 for one that is in `wide`. */
  code(): number {
    if (this.at === this.count) this.fill();
    return this.codes[this.at++]!;
  }

  read(): number {
    const code = this.code();
    return code === 0 ? this.#wide.readWide() : code - 1;
  }

  /** Puts the next codes together. Only where none is left in `codes`. */
  fill(): void {
    const bytes = this.#bytes;
    const { codes, length } = this;
    const start = this.#left;
    const count = Math.min(this.#end - start, codes.length);
    if (count === 0) throw new MalformedColumns('a column is too short');
    for (let index = 0; index < count; index++) codes[index] = bytes[start + index]!;
    for (let plane = 1; plane < this.#planes; plane++) {
      const from = start + length * plane;
      const shift = 8 * plane;
      for (let index = 0; index < count; index++) codes[index]! |= bytes[from + index]! << shift;
    }
    this.#left = start + count;
    this.at = 0;
    this.count = count;
  }

  assertEnd(): void {
    if (!this.isAtEnd) throw new MalformedColumns('a column is too long');
  }
}
