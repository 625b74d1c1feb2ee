import { ORIGIN, isBefore } from '@evertree/core';
import type { ExactPosition, FrameHeader } from '@evertree/core';

/** Where a site stands once it has applied what was handed up, and what helps to find that place in its topic. */
export class SitePlace {
  #position: ExactPosition = ORIGIN;
  #time: number | undefined;
  #offset: string | undefined;

  get position(): ExactPosition {
    return this.#position;
  }

  /** Commit time of the frame that ends there, if it is known. */
  get time(): number | undefined {
    return this.#time;
  }

  /** Offset of the first record of the frame that ends there, if this topic brought it. */
  get offset(): string | undefined {
    return this.#offset;
  }

  /** The site stands elsewhere: it began, or took a snapshot. */
  moveTo(position: ExactPosition, time: number | undefined, offset?: string): void {
    this.#position = position;
    this.#time = time;
    this.#offset = offset;
  }

  /** A frame is handed up. @returns false for one that ends before the place */
  advance({ last, lastTime }: FrameHeader, offset: string): boolean {
    if (isBefore(last, this.#position)) return false;
    this.moveTo(last, lastTime, offset);
    return true;
  }

  /** The site asks for frames after this position. */
  goBackTo(after: ExactPosition): void {
    if (after.revision < this.#position.revision) this.moveTo(after, undefined);
    else this.#position = after;
  }

  /** The site has taken frames from elsewhere. The time of a frame before leads to an earlier record, never to a later one. */
  continueAfter(after: ExactPosition): void {
    if (after.revision !== this.#position.revision) this.#offset = undefined;
    this.#position = after;
  }
}
