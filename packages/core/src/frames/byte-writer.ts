/** Texts up to this length, in UTF-16 units, are written in a loop: measured, a native call costs more. */
const SHORT_TEXT = 40;
/** Left free behind one long text, so that what follows it, such as a checksum, needs no other buffer of twice the size. */
const SPARE_BYTES = 1_024;

/** A growing buffer. Numbers are written as varints (LEB128), texts after their length in bytes. */
export class ByteWriter {
  bytes: Buffer;
  length = 0;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  /** What was written; valid until the next write. */
  written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + count + SPARE_BYTES));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** A whole number in [0, 2^53). */
  varint(value: number): void {
    this.reserve(8);
    if (value < 128) {
      this.bytes[this.length++] = value;
      return;
    }
    const bytes = this.bytes;
    let at = this.length;
    while (value > 0x7fff_ffff) {
      bytes[at++] = (value % 128) | 128;
      value = Math.floor(value / 128);
    }
    while (value > 127) {
      bytes[at++] = (value & 127) | 128;
      value >>>= 7;
    }
    bytes[at++] = value;
    this.length = at;
  }

  double(value: number): void {
    this.reserve(8);
    this.length = this.bytes.writeDoubleLE(value, this.length);
  }

  text(text: string): void {
    const { length } = text;
    if (length <= SHORT_TEXT && this.#asciiText(text)) return;
    const bytes = Buffer.byteLength(text);
    this.varint(bytes);
    this.reserve(bytes);
    // As many bytes as units: it is ASCII, which is copied as it is.
    this.length += this.bytes.write(text, this.length, bytes === length ? 'latin1' : 'utf8');
  }

  #asciiText(text: string): boolean {
    const { length } = text;
    this.reserve(length + 1);
    const bytes = this.bytes;
    let at = this.length;
    bytes[at++] = length;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 127) return false;
      bytes[at++] = unit;
    }
    this.length = at;
    return true;
  }
}
