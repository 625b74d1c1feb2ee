import type { History } from './history.ts';
import type { Clock } from './host.ts';
import type { Journal } from './journal.ts';
import type { StoreLimits } from './store-limits.ts';

/** When a frame is cut: as one is full; else once the turn that committed is over and no group is being written. */
export class FrameSchedule {
  readonly #journal: Journal;
  readonly #history: History;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #cut: () => void;
  #scheduled = false;

  constructor(journal: Journal, history: History, clock: Clock, limits: StoreLimits, cut: () => void) {
    this.#journal = journal;
    this.#history = history;
    this.#clock = clock;
    this.#limits = limits;
    this.#cut = cut;
  }

  /** After each commit. Beyond `limits.pendingBytes` it writes and syncs before it returns. */
  committed(): void {
    if (this.#history.openBytes >= this.#limits.frameBytes) {
      this.#cut();
      if (this.#journal.pendingBytes > this.#limits.pendingBytes) this.#journal.flushSync();
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      this.#clock.soon(() => {
        this.#scheduled = false;
        this.#history.newTurn();
        // While a group is being written the next one may as well gather more: `written` cuts it.
        if (!this.#journal.busy) this.#cut();
      });
    }
  }

  /** After each group that the journal wrote. */
  written(): void {
    if (!this.#scheduled && this.#journal.state === 'open') this.#cut();
  }
}
