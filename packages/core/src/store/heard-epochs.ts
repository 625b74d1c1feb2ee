import { takenUpTo, type EpochName } from '../lineage.ts';
import { NO_EPOCH_ID } from '../position.ts';
import type { Hello } from '../seams/transport.ts';

/**
 * The highest number of an epoch that the hellos of other sites told of: one that began or was promised, or one that a
 * handover leaves to its target. It fences nobody, and ends with the process. A promotion begins above it, whatever became
 * of the link that told of it.
 */
export class HeardEpochs {
  readonly #stream: () => string | null;
  /** NO_EPOCH_ID: not only one promise has that number. */
  #highest: EpochName = { number: 0, id: NO_EPOCH_ID };

  /** @param stream that of the history; hellos of other streams do not count */
  constructor(stream: () => string | null) {
    this.#stream = stream;
  }

  get number(): number {
    return this.#highest.number;
  }

  hear({ stream, epochs, position, fencedBy }: Hello): void {
    if (stream === null || stream !== this.#stream()) return;
    this.#note({ number: takenUpTo({ epochs, last: position }), id: NO_EPOCH_ID });
    if (fencedBy !== undefined) this.#note(fencedBy);
  }

  /** Whether the epoch has to take another number. A promise of that very epoch, told by who gave it, does not count. */
  surpass({ number, id }: EpochName): boolean {
    return this.#highest.number > number || (this.#highest.number === number && this.#highest.id !== id);
  }

  #note({ number, id }: EpochName): void {
    if (number > this.#highest.number) this.#highest = { number, id };
    else if (number === this.#highest.number && id !== this.#highest.id) this.#highest = { number, id: NO_EPOCH_ID };
  }
}
