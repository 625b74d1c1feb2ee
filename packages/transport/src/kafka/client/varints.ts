/** Reads what Kafka's records are made of, from the front to the back. @throws RangeError behind the end */
export class VarintReader {
  readonly #bytes: Buffer;
  #position: number;

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes;
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  skip(count: number): void {
    this.#position += count;
  }

  /** Goes on at the end of a record, behind what a later version may have added to it. */
  endAt(end: number): void {
    if (this.#position > end || end > this.#bytes.length) throw new RangeError('a record ends before its fields, or behind its batch');
    this.#position = end;
  }

  /** Zigzag, up to 32 bits. */
  int(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw new RangeError('a number of a record has more than 32 bits');
  }

  /** Zigzag, up to 64 bits; exact up to 2^53. */
  long(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 70; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw new RangeError('a number of a record has more than 64 bits');
  }

  /** With its length in front; null where that is -1. */
  bytes(): Buffer | null {
    const length = this.int();
    if (length < 0) return null;
    const start = this.#position;
    this.#position += length;
    if (this.#position > this.#bytes.length) throw new RangeError('a record ends behind its batch');
    return this.#bytes.subarray(start, this.#position);
  }

  #byte(): number {
    const byte = this.#bytes[this.#position++];
    if (byte === undefined) throw new RangeError('a record ends behind its batch');
    return byte;
  }
}

/** Writes them, into one buffer that grows. */
export class VarintWriter {
  readonly #front: number;
  #bytes: Buffer;
  #length: number;

  /**
   * @param expectedBytes what is written, as a rule
   * @param front bytes that are left free in memory before what is written
   */
  constructor(expectedBytes: number, front = 0) {
    this.#front = front;
    this.#bytes = Buffer.allocUnsafe(front + expectedBytes);
    this.#length = front;
  }

  /** What was written. The writer is done. */
  taken(): Buffer {
    return this.#bytes.subarray(this.#front, this.#length);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  int(value: number): void {
    this.#reserve(5);
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    for (; rest >= 0x80; rest >>>= 7) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#length++] = rest;
  }

  long(value: number): void {
    this.#reserve(10);
    let rest = zigzag(value);
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) | 0x80;
    this.#bytes[this.#length++] = rest;
  }

  bytes(value: Buffer | null): void {
    this.int(value?.length ?? -1);
    if (value === null) return;
    this.#reserve(value.length);
    value.copy(this.#bytes, this.#length);
    this.#length += value.length;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.int(length);
    this.#reserve(length);
    this.#bytes.write(value, this.#length);
    this.#length += length;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

export function sizeOfInt(value: number): number {
  return sizeOf(((value << 1) ^ (value >> 31)) >>> 0);
}

export function sizeOfLong(value: number): number {
  return sizeOf(zigzag(value));
}

/** With the length in front; −1 for null. */
export function sizeOfBytes(length: number): number {
  return sizeOfInt(length) + Math.max(0, length);
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function sizeOf(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}
