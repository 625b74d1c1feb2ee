import type { ExactPosition, Frame } from '@evertree/core';
import { samePosition } from '@evertree/core';

/** Counts the bytes of the frames that wait in the journal, reading each of them once. */
export class SpoolMeter {
  /** The frames between these two positions have `bytes`. */
  #from: ExactPosition;
  #upTo: ExactPosition;
  #bytes = 0;

  constructor(from: ExactPosition) {
    this.#from = from;
    this.#upTo = from;
  }

  /** Counted up to here. */
  get at(): ExactPosition {
    return this.#upTo;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts from another position on. */
  reset(from: ExactPosition): void {
    this.#from = from;
    this.#upTo = from;
    this.#bytes = 0;
  }

  /** The frames up to a position wait no more. */
  taken(upTo: ExactPosition, bytes: number): void {
    if (upTo.revision >= this.#upTo.revision) return this.reset(upTo);
    this.#from = upTo;
    this.#bytes = Math.max(0, this.#bytes - bytes);
  }

  /** Counts what has come since. @param frames reads what follows a position */
  async count(frames: (after: ExactPosition) => AsyncIterable<Frame>): Promise<void> {
    const from = this.#from;
    for await (const { header, bytes } of frames(this.#upTo)) {
      // What was counted was taken meanwhile.
      if (!samePosition(from, this.#from)) return;
      this.#upTo = header.last;
      this.#bytes += bytes.length;
    }
  }
}
