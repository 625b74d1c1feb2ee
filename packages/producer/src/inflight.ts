import type { ExactPosition } from '@evertree/core';

interface Sent {
  readonly last: ExactPosition;
  readonly bytes: number;
  readonly time: number;
}

/** Spent entries are cut off the front once there are this many. */
const SPENT_ENTRIES = 1024;

/**
 * The frames sent and not yet acknowledged as durable, as numbers: their ends, lengths and commit times, oldest first. Their bytes
 * count until they are applied.
 */
export class Inflight {
  #entries: Sent[] = [];
  /** Entries before it are durable at the peer. */
  #durable = 0;
  /** Entries before it are applied there. */
  #applied = 0;
  #bytes = 0;

  /** Bytes not yet applied. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Frames not yet durable. */
  get frames(): number {
    return this.#entries.length - this.#durable;
  }

  /** Commit time of the oldest change set not yet durable. */
  get oldestTime(): number | undefined {
    return this.#entries[this.#durable]?.time;
  }

  add(last: ExactPosition, bytes: number, time: number): void {
    this.#entries.push({ last, bytes, time });
    this.#bytes += bytes;
  }

  /** @returns false when a frame that was sent ends at this revision in another epoch: then nothing is taken off */
  acknowledge(applied: ExactPosition, durable: ExactPosition): boolean {
    const appliedEnd = this.#endOf(applied, this.#applied);
    const durableEnd = this.#endOf(durable, this.#durable);
    if (appliedEnd === undefined || durableEnd === undefined) return false;
    for (let index = this.#applied; index < appliedEnd; index++) this.#bytes -= this.#entries[index]!.bytes;
    this.#applied = appliedEnd;
    this.#durable = durableEnd;
    if (this.#durable >= SPENT_ENTRIES) {
      this.#entries = this.#entries.slice(this.#durable);
      this.#applied -= this.#durable;
      this.#durable = 0;
    }
    return true;
  }

  clear(): void {
    this.#entries = [];
    this.#durable = 0;
    this.#applied = 0;
    this.#bytes = 0;
  }

  /** The index after the last entry that ends at or before `position`; undefined when one ends there in another epoch. */
  #endOf(position: ExactPosition, from: number): number | undefined {
    let end = from;
    for (; end < this.#entries.length; end++) {
      const { last } = this.#entries[end]!;
      if (last.revision > position.revision) break;
      if (last.revision === position.revision && last.epochId !== position.epochId) return undefined;
    }
    return end;
  }
}
