import { releaseMemory } from './memory.ts';

/** A growing column of bytes. */
export class ByteColumnWriter {
  /** What was added is in the first `length` of them. */
  bytes = Buffer.allocUnsafeSlow(256);
  length = 0;

  add(byte: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = byte;
  }

  addBytes(source: Buffer, start: number, end: number): void {
    const count = end - start;
    if (this.length + count > this.bytes.length) this.#grow(count);
    if (count > 32) source.copy(this.bytes, this.length, start, end);
    else for (let at = 0; at < count; at++) this.bytes[this.length + at] = source[start + at]!;
    this.length += count;
  }

  /** A whole number in [0, 2^53), in 8 bytes. */
  addWide(value: number): void {
    if (this.length + 8 > this.bytes.length) this.#grow(8);
    this.bytes.writeUInt32LE(value % 0x1_0000_0000, this.length);
    this.bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.length + 4);
    this.length += 8;
  }

  get storedBytes(): number {
    return varintBytes(this.length) + this.length;
  }

  /** @returns where the next column begins */
  store(into: Buffer, at: number): number {
    const start = writeVarint(into, at, this.length);
    this.bytes.copy(into, start, 0, this.length);
    return start + this.length;
  }

  release(): void {
    releaseMemory(this.bytes);
  }

  #grow(count: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    releaseMemory(this.bytes);
    this.bytes = larger;
  }
}

/** A growing column of whole numbers in [0, 2^53). One below 2^32 - 1 is stored as that plus 1; others are in `wide`. */
export class NumberColumnWriter {
  readonly #wide: ByteColumnWriter;
  #codes = new Uint32Array(64);
  #length = 0;
  #most = 0;

  /** @param wide has the large numbers of all columns, in the order in which they are added */
  constructor(wide: ByteColumnWriter) {
    this.#wide = wide;
  }

  add(value: number): void {
    if (value < 0xffff_ffff) this.#addCode(value + 1);
    else this.addWide(value);
  }

  addWide(value: number): void {
    this.#addCode(0);
    this.#wide.addWide(value);
  }

  get storedBytes(): number {
    return varintBytes(this.#length) + (this.#length === 0 ? 0 : 1 + this.#length * this.#planes);
  }

  /** @returns where the next column begins */
  store(into: Buffer, at: number): number {
    const length = this.#length;
    let end = writeVarint(into, at, length);
    if (length === 0) return end;
    into[end++] = this.#planes;
    for (let plane = 0; plane < this.#planes; plane++) {
      const shift = 8 * plane;
      for (let index = 0; index < length; index++) into[end + index] = this.#codes[index]! >>> shift;
      end += length;
    }
    return end;
  }

  release(): void {
    releaseMemory(this.#codes);
  }

  get #planes(): number {
    return this.#most < 0x100 ? 1 : this.#most < 0x1_0000 ? 2 : this.#most < 0x100_0000 ? 3 : 4;
  }

  #addCode(code: number): void {
    if (this.#length === this.#codes.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#codes);
      releaseMemory(this.#codes);
      this.#codes = larger;
    }
    this.#codes[this.#length++] = code;
    if (code > this.#most) this.#most = code;
  }
}

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

/** Writes a varint, FORMAT.md, «Binary body». @returns where it ends */
export function writeVarint(into: Buffer, at: number, value: number): number {
  while (value > 0x7fff_ffff) {
    into[at++] = (value % 128) | 128;
    value = Math.floor(value / 128);
  }
  while (value > 127) {
    into[at++] = (value & 127) | 128;
    value >>>= 7;
  }
  into[at++] = value;
  return at;
}
