import { FRAME_LIMIT_BYTES } from '@evertree/core';
import { Assembly } from '../wire/assembly.ts';
import { TYPE, violation } from './messages.ts';

/** What a part carries, unless it is the last. */
export const PART_BYTES = 256 * 1024;
const PART_HEADER_BYTES = 9;
/** The largest WebSocket message: a whole part. What is longer travels in parts. */
export const PAYLOAD_LIMIT_BYTES = PART_HEADER_BYTES + PART_BYTES;
/** The largest message, whole. */
export const MESSAGE_LIMIT_BYTES = FRAME_LIMIT_BYTES;
/** The largest message before hello has come. */
export const HELLO_LIMIT_BYTES = 1024 * 1024;

export function* splitMessage(message: Buffer): Generator<Buffer> {
  const count = Math.ceil(message.length / PART_BYTES);
  // One allocation for all: while V8 collects garbage, each may take a millisecond.
  const parts = Buffer.allocUnsafeSlow(message.length + count * PART_HEADER_BYTES);
  for (let offset = 0, at = 0; offset < message.length; offset += PART_BYTES) {
    const piece = message.subarray(offset, offset + PART_BYTES);
    const part = parts.subarray(at, (at += PART_HEADER_BYTES + piece.length));
    part[0] = TYPE.part;
    part.writeUInt32LE(message.length, 1);
    part.writeUInt32LE(offset, 5);
    part.set(piece, PART_HEADER_BYTES);
    yield part;
  }
}

/** Puts the parts of a message together, and checks that they come in the order of PROTOCOL.md. */
export class MessageParts {
  readonly #assembly = new Assembly();

  /** Whether a message has begun and is not complete. */
  get open(): boolean {
    return this.#assembly.open;
  }

  /**
   * Takes a part; returns the whole message with its last one.
   * @param limitBytes the largest message that may begin now
   * @throws EvertreeError PROTOCOL_VIOLATION
   */
  add(part: Buffer, limitBytes: number): Buffer | undefined {
    if (part.length <= PART_HEADER_BYTES) throw violation(`a part of ${part.length} bytes`);
    const total = part.readUInt32LE(1);
    const offset = part.readUInt32LE(5);
    const piece = part.subarray(PART_HEADER_BYTES);
    if (!this.open) this.#begin(total, limitBytes);
    const { bytes, totalBytes } = this.#assembly;
    if (total !== totalBytes || offset !== bytes) {
      throw violation(`a part at ${offset} of ${total} bytes, where ${bytes} of ${totalBytes} was due`);
    }
    if (piece.length !== Math.min(PART_BYTES, total - offset)) throw violation(`a part of ${piece.length} bytes at ${offset} of ${total}`);
    return this.#assembly.add(piece);
  }

  #begin(total: number, limitBytes: number): void {
    if (total <= PAYLOAD_LIMIT_BYTES) throw violation(`parts of a message of ${total} bytes, which fits in one`);
    if (total > limitBytes) throw violation(`a message of ${total} bytes; the limit here is ${limitBytes}`);
    this.#assembly.begin(total);
  }
}
