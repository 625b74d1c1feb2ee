interface Sent {
  /** Revision of its last change set. */
  readonly last: number;
  readonly bytes: number;
  readonly time: number;
}

/** Spent entries are cut off the front once there are this many. */
const SPENT_ENTRIES = 1024;

/**
 * The frames sent and not yet acknowledged as durable, as numbers: their ends, lengths and commit times, oldest first.
 * Their bytes count until they are applied. All positions are of one history, in which a revision alone names a
 * position: `Progress` makes sure.
 */
export class Inflight {
  /** In the order of their ends. */
  #entries: Sent[] = [];
  /** Entries before it are durable at the peer. Never above `#applied`. */
  #durable = 0;
  /** Entries before it are applied there. */
  #applied = 0;
  /** The sum over the entries from `#applied` on. */
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

  add(last: number, bytes: number, time: number): void {
    this.#entries.push({ last, bytes, time });
    this.#bytes += bytes;
  }

  /** Takes off what ends at or before these revisions; `durable` is not above `applied`. */
  acknowledge(applied: number, durable: number): void {
    const appliedEnd = this.#endOf(applied, this.#applied);
    for (let index = this.#applied; index < appliedEnd; index++) this.#bytes -= this.#entries[index]!.bytes;
    this.#applied = appliedEnd;
    this.#durable = this.#endOf(durable, this.#durable);
    if (this.#durable < SPENT_ENTRIES) return;
    this.#entries = this.#entries.slice(this.#durable);
    this.#applied -= this.#durable;
    this.#durable = 0;
  }

  clear(): void {
    this.#entries = [];
    this.#durable = 0;
    this.#applied = 0;
    this.#bytes = 0;
  }

  /** The index after the last entry, from `from` on, that ends at or before `revision`. */
  #endOf(revision: number, from: number): number {
    let end = from;
    while (end < this.#entries.length && this.#entries[end]!.last <= revision) end += 1;
    return end;
  }
}
