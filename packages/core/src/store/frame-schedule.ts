import type { History } from './history.ts';
import type { Clock } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';
import type { StoreLimits } from './store-options.ts';

/** A frame gathers for more turns once it has so many bytes after one, and no longer than so many milliseconds. */
const GATHER_BYTES = 8 * 1024;
const GATHER_MS = 16;

/**
 * When a frame is cut: as one is full; else once the turn that committed is over and no group is being written. Where turn after turn
 * commits much, frames gather for a while: each spells its dictionaries anew, so that large ones cost half as much a change.
 */
export class FrameSchedule {
  readonly #journal: Journal;
  readonly #history: History;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #cut: () => void;
  #scheduled = false;
  /** While a frame gathers: since when (Clock.monotonic), and the bytes it had a turn ago. */
  #since = 0;
  #bytesBefore = 0;

  constructor(journal: Journal, history: History, clock: Clock, limits: StoreLimits, cut: () => void) {
    this.#journal = journal;
    this.#history = history;
    this.#clock = clock;
    this.#limits = limits;
    this.#cut = cut;
  }

  /** After each commit. Beyond `limits.pendingBytes` it writes and syncs before it returns. */
  committed(): void {
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#begin();
      this.#clock.soon(this.#turnOver);
    }
    if (this.#history.openBytes < this.#limits.frameBytes) return;
    this.#cut();
    this.#begin();
    if (this.#journal.log.pendingBytes > this.#limits.pendingBytes) this.#flushSync();
  }

  /** A frame begins. */
  #begin(): void {
    this.#since = this.#clock.monotonic();
    this.#bytesBefore = 0;
  }

  /** Cuts what is open, where the journal still takes it. */
  cutIfTaken(): void {
    if (this.#journal.log.state === 'open' || this.#journal.log.state === 'full') this.#cut();
  }

  readonly #turnOver = (): void => {
    this.#history.newTurn();
    if (this.#gathers()) {
      this.#clock.soon(this.#turnOver);
      return;
    }
    this.#scheduled = false;
    // While a group is being written the next one may as well gather more: `written` cuts it.
    if (!this.#journal.log.busy) this.cutIfTaken();
  };

  #flushSync(): void {
    try {
      this.#journal.log.flushSync();
    } catch (error) {
      // The commit is made: what became of it the store's state and the promise of its durability tell, as of the commits before it.
      if (this.#journal.log.state !== 'failed') throw error;
    }
  }

  /** Whether the open frame had much to begin with, grew in this turn, too, and is young. */
  #gathers(): boolean {
    const bytes = this.#history.openBytes;
    const grew = bytes > this.#bytesBefore;
    this.#bytesBefore = bytes;
    return bytes >= GATHER_BYTES && grew && this.#clock.monotonic() - this.#since < GATHER_MS;
  }

  /** After each group that the journal wrote. */
  written(): void {
    if (!this.#scheduled && this.#journal.log.state === 'open') this.#cut();
  }
}
