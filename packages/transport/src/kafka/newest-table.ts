import type { Epoch, ExactPosition, FrameHeader } from '@evertree/core';

/** Of an entry of a table of epochs: what tells where the epoch before it ended. */
type EpochStart = Pick<Epoch, 'number' | 'id' | 'base'>;

/**
 * The newest table of epochs that is known of a topic: of a primary's hello, or of a frame there that began a higher
 * epoch. What stands in the topic beside that history was superseded by a promotion, and counts for nobody. Pure.
 */
export class NewestTable {
  #entries: readonly EpochStart[];

  constructor(epochs: readonly EpochStart[] = []) {
    this.#entries = epochs;
  }

  /** A primary told its table. An older one than this changes nothing. */
  hear(epochs: readonly EpochStart[]): void {
    if ((epochs.at(-1)?.number ?? 0) >= this.#highest) this.#entries = epochs;
  }

  /** The topic has this frame. One that begins a higher epoch ends those before at its base. */
  read({ beginsEpoch, epoch, epochId, base }: FrameHeader): void {
    if (!beginsEpoch || epoch <= this.#highest || this.#entries.length === 0) return;
    const at = this.#entries.findLastIndex(({ number, id }) => number === base.epoch && id === base.epochId);
    const before = at < 0 ? this.#entries.filter(({ number }) => number <= base.epoch) : this.#entries.slice(0, at + 1);
    this.#entries = [...before, { number: epoch, id: epochId, base }];
  }

  /**
   * Whether a position lies beside the history of this table. An id that is not known, of the highest number, may be of
   * a later restart: the receiver judges that.
   */
  isSuperseded({ epoch, epochId, revision }: ExactPosition): boolean {
    const last = this.#entries.at(-1);
    if (last === undefined || last.id === epochId || epoch > last.number) return false;
    const at = this.#entries.findLastIndex(({ number, id }) => number === epoch && id === epochId);
    return at < 0 ? epoch < last.number : revision > this.#entries[at + 1]!.base.revision;
  }

  get #highest(): number {
    return this.#entries.at(-1)?.number ?? 0;
  }
}
