import type { DiskFile } from '@evertree/core';
import type { BlockPlace } from './run-format.ts';
import { encodeBlock, encodeRunHead } from './run-format.ts';

/** Bytes of one write. */
const WRITE_BYTES = 256 * 1024;

/** The bytes of a run as they are made, one block after the other. */
export class RunOutput {
  readonly #file: Pick<DiskFile, 'write'>;
  #pending: Uint8Array[] = [encodeRunHead()];
  #pendingBytes = this.#pending[0]!.length;
  #written = 0;

  constructor(file: Pick<DiskFile, 'write'>) {
    this.#file = file;
  }

  /** The offset of the next byte. */
  get length(): number {
    return this.#written + this.#pendingBytes;
  }

  /** Whether `flush` is due. */
  get isFull(): boolean {
    return this.#pendingBytes >= WRITE_BYTES;
  }

  /** @param body is copied */
  block(body: Uint8Array): BlockPlace {
    const offset = this.length;
    const block = encodeBlock(offset, body);
    this.raw(block);
    return { offset, bytes: block.length };
  }

  raw(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  async flush(): Promise<void> {
    const pieces = this.#pending;
    const offset = this.#written;
    this.#written += this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.#file.write([Buffer.concat(pieces)], offset);
  }
}
