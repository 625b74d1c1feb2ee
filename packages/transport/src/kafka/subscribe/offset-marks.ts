import { isBefore } from '@evertree/core';
import type { ExactPosition } from '@evertree/core';

interface Mark {
  readonly last: ExactPosition;
  /** Offset of the last record that belongs to it. */
  readonly end: string;
}

/**
 * Which offset may be committed for people's dashboards. A mark is set where reading stands. It is due once what was
 * handed up until then is durable: the committed offset never runs ahead of the site. Pure.
 */
export class OffsetMarks {
  /** The last that was handed up. */
  #reached: Mark | undefined;
  /** Waits until the site holds it durably. */
  #mark: Mark | undefined;
  #durable: ExactPosition | undefined;
  /** The newest offset that the broker took. */
  #committed: bigint | undefined;
  /** The broker was asked to take one, and has not answered. */
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

  /** The offset to commit, that of the next record to be read; undefined when there is no other one than before. */
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
