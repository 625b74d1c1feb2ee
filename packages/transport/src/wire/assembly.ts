/**
 * The pieces of one message, put together when all of them are there. Each wire checks for itself that a piece belongs
 * to the message, and follows, before it adds it. Memory is held for what has come only; while the last piece is added,
 * that memory is held twice.
 */
export class Assembly {
  #pieces: Buffer[] = [];
  /** The sum of `#pieces`; below `#totalBytes` while a message is open. */
  #bytes = 0;
  /** What the whole message will have; zero while none is open. */
  #totalBytes = 0;

  /** Whether a message has begun and is not complete. */
  get open(): boolean {
    return this.#totalBytes > 0;
  }

  /** Bytes that have come of the open message: the next piece begins there. */
  get bytes(): number {
    return this.#bytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Begins a message of so many bytes, more than none; what was open is dropped. */
  begin(totalBytes: number): void {
    this.drop();
    this.#totalBytes = totalBytes;
  }

  /**
   * Adds the next piece of the open message, which must not go beyond its end. Returns the message with its last piece.
   */
  add(piece: Buffer): Buffer | undefined {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes < this.#totalBytes) return undefined;
    const whole = Buffer.concat(this.#pieces, this.#totalBytes);
    this.drop();
    return whole;
  }

  drop(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#totalBytes = 0;
  }
}
