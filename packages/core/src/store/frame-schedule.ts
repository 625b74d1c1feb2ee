import type { History } from './history.ts';
import type { Clock } from '../seams/host.ts';
import type { Journal } from '../seams/journal.ts';
import type { StoreLimits } from './store-options.ts';

/**
 * A frame that has so many bytes after one turn goes on gathering in the next turns, for at most so many milliseconds.
 */
const GATHER_BYTES = 8 * 1024;
const GATHER_MS = 16;

/**
 * A frame that spells so many keys is full. As a rule each is looked up in a wide object, where the other site waits 1 to
 * 2 microseconds for memory, and it applies a frame in one step, some 400 bytes of garbage for each key (DESIGN.md, «Steps
 * are short»). Changes with keys of their own gain nothing by a common dictionary, so that more frames cost no more.
 */
const FRAME_KEYS = 1_024;

/**
 * Decides when a frame is cut: when it is full; else when the turn of the event loop that committed is over and no
 * group is being written. While turn after turn commits much, a frame gathers for some turns: each frame spells its
 * dictionaries anew, so that in large frames a change costs half as much.
 */
export class FrameSchedule {
  readonly #journal: Journal;
  readonly #history: History;
  readonly #clock: Clock;
  readonly #limits: StoreLimits;
  readonly #cut: () => void;
  /**
   * `#turnOver` will run in a later turn. While a change set is open this is set, or a group is being written, or the
   * journal takes nothing.
   */
  #scheduled = false;
  /** Of the open frame: when it began (Clock.monotonic), and how many bytes it had one turn ago. */
  #since = 0;
  #bytesBefore = 0;

  constructor(journal: Journal, history: History, clock: Clock, limits: StoreLimits, cut: () => void) {
    this.#journal = journal;
    this.#history = history;
    this.#clock = clock;
    this.#limits = limits;
    this.#cut = cut;
  }

  /** To be called after each commit. If more than `limits.pendingBytes` wait it writes and syncs before it returns. */
  committed(): void {
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#begin();
      this.#clock.soon(this.#turnOver);
    }
    if (!this.#isFull()) return;
    this.#cut();
    this.#begin();
    this.appended();
  }

  /** To be called after a frame of this site was appended outside of the schedule; it bounds what waits, likewise. */
  appended(): void {
    if (this.#journal.log.pendingBytes > this.#limits.pendingBytes) this.#flushSync();
  }

  #isFull(): boolean {
    return this.#history.openBytes >= this.#limits.frameBytes || this.#history.openKeys >= FRAME_KEYS;
  }

  /** A frame begins. */
  #begin(): void {
    this.#since = this.#clock.monotonic();
    this.#bytesBefore = 0;
  }

  /** Cuts the open frame, if the journal still takes frames. */
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
    // While a group is being written the next frame can gather more: `written` will cut it.
    if (!this.#journal.log.busy) this.cutIfTaken();
  };

  #flushSync(): void {
    try {
      this.#journal.log.flushSync();
    } catch (error) {
      // The commit is made. The store's state and its promise of durability tell that the disk failed.
      if (this.#journal.log.state !== 'failed') throw error;
    }
  }

  /** Whether the open frame goes on gathering: it is large, it grew in this turn, and it is young. */
  #gathers(): boolean {
    const bytes = this.#history.openBytes;
    const grew = bytes > this.#bytesBefore;
    this.#bytesBefore = bytes;
    return bytes >= GATHER_BYTES && grew && this.#clock.monotonic() - this.#since < GATHER_MS;
  }

  /** To be called after each group that the journal wrote. */
  written(): void {
    if (!this.#scheduled && this.#journal.log.state === 'open') this.#cut();
  }
}
