import { isBefore } from '@evertree/core';
import type { ExactPosition } from '@evertree/core';

interface OffsetMark {
  readonly last: ExactPosition;
  /** Offset of the last record that belongs to it. */
  readonly end: string;
}

/**
 * The offset that may be committed, for dashboards. A mark is the offset reached when a frame or a snapshot was handed
 * up. It may be committed once that is durable at the site, so the committed offset is never ahead of the site. Pure.
 */
export class OffsetMarks {
  /** The last that was handed up. */
  #reached: OffsetMark | undefined;
  /** Waits until the site holds it durably. */
  #mark: OffsetMark | undefined;
  #durable: ExactPosition | undefined;
  /** The newest offset that the broker took. */
  #committed: bigint | undefined;
  /** A commit was sent and is not answered yet. */
  #underWay = false;
  /** The last commit failed. */
  #failing = false;

  /** A frame or a snapshot was handed up. @param end offset of the last record that belongs to it */
  reached(last: ExactPosition, end: string): void {
    this.#reached = { last, end };
  }

  durable(position: ExactPosition): void {
    this.#durable = position;
  }

  /** The offset to commit, that of the next record to be read; undefined when it is the one that was committed last. */
  due(): bigint | undefined {
    if (this.#underWay) return undefined;
    const mark = this.#mark;
    const isDurable = mark !== undefined && this.#durable !== undefined && !isBefore(this.#durable, mark.last);
    if (isDurable) this.#mark = undefined;
    this.#mark ??= this.#reached;
    const offset = isDurable ? BigInt(mark.end) + 1n : this.#committed;
    if (offset === this.#committed) return undefined;
    this.#underWay = true;
    return offset;
  }

  committed(offset: bigint): void {
    this.#underWay = false;
    this.#failing = false;
    this.#committed = offset;
  }

  /** @returns whether it is the first failure since the last success */
  failed(): boolean {
    const isFirst = !this.#failing;
    this.#underWay = false;
    this.#failing = true;
    return isFirst;
  }
}
