/**
 * The pieces of one message, put together when all of them are there. Each wire checks for itself that a piece belongs
 * to the message, and follows, before it adds it. No more memory is held than for twice what has come. From half of the
 * message on each piece is copied to its place at once: to copy 16 MiB with the last one took 20 ms.
 */
export class Assembly {
  /** Those of the first half of the message. */
  #pieces: Buffer[] = [];
  /** The message as far as it has come, from its half on. */
  #whole: Buffer | undefined;
  /** What has come; below `#totalBytes` while a message is open. */
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
    this.#whole?.set(piece, this.#bytes);
    this.#bytes += piece.length;
    if (this.#whole === undefined) {
      this.#pieces.push(piece);
      if (2 * this.#bytes >= this.#totalBytes) this.#gather();
    }
    if (this.#bytes < this.#totalBytes) return undefined;
    const whole = this.#whole;
    this.drop();
    return whole;
  }

  #gather(): void {
    const whole = Buffer.allocUnsafeSlow(this.#totalBytes);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    this.#whole = whole;
  }

  drop(): void {
    this.#pieces = [];
    this.#whole = undefined;
    this.#bytes = 0;
    this.#totalBytes = 0;
  }
}
