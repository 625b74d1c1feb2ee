import type { NetChanges } from '@evertree/core';
import type { BodyColumnsReader } from './body-columns-reader.ts';
import { BINARY, CODEC, FIRST_TIME, FLAGS, LAST_TIME, readWide } from './frame-offsets.ts';

/** The frames that end after one revision, and not after another. */
export interface RevisionSpan {
  readonly after: number;
  readonly upTo: number;
}

/** Gathers what the frames of a span change. */
export class Gathering {
  readonly #frames: Buffer;
  readonly #span: RevisionSpan;
  readonly #bodies: BodyColumnsReader;
  #last = 0;
  #isPossible = true;

  constructor(frames: Buffer, span: RevisionSpan, bodies: BodyColumnsReader) {
    this.#frames = frames;
    this.#span = span;
    this.#bodies = bodies;
  }

  /** @param last its last revision; NaN if it is none */
  begin(last: number): void {
    const { after, upTo } = this.#span;
    this.#bodies.isGathering = last > after && last <= upTo;
    if (this.#bodies.isGathering) this.#last = last;
  }

  /** The frame was read. @param time the sum of the times in its body; undefined if that was no column */
  end(at: number, time: number | undefined): void {
    if (!this.#bodies.isGathering) return;
    const frames = this.#frames;
    // An epoch's first and last frame, and a mark, change nothing in the tree.
    if (time === undefined) this.#isPossible &&= frames[at + CODEC] === BINARY && frames.readUInt16LE(at + FLAGS) !== 0;
    else this.#isPossible &&= readWide(frames, at + FIRST_TIME) + time === readWide(frames, at + LAST_TIME);
  }

  changes(): NetChanges | undefined {
    const { gatheredOperations: operations } = this.#bodies;
    const body = this.#isPossible && operations > 0 ? this.#bodies.gathered() : undefined;
    return body && { operations, last: this.#last, body };
  }
}
