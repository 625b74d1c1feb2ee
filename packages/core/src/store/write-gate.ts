import type { EvertreeError } from '../errors.ts';
import type { Journal } from '../seams/journal.ts';
import { assertSecondary } from './role-change.ts';
import { storeState, whyNoWrites, type StoreState } from './store-state.ts';

/** Whether a store takes writes, and why not. */
export class WriteGate {
  state: StoreState = 'open';
  readonly #journal: Journal;
  readonly #changed: () => void;
  #closed = false;
  #refusal: EvertreeError | undefined;

  /** `changed` is called after each change of `state`. */
  constructor(journal: Journal, changed: () => void) {
    this.#journal = journal;
    this.#changed = changed;
    this.update();
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.update();
  }

  refuse(reason: EvertreeError | undefined): void {
    this.#refusal = reason;
    this.update();
  }

  /** Looks at the journal again. */
  update(): void {
    const state = storeState(this.#closed, this.#journal, this.#refusal);
    if (state === this.state) return;
    this.state = state;
    this.#changed();
  }

  /** What a write is told. */
  reason(): EvertreeError {
    return whyNoWrites(this.state, this.#journal, this.#refusal);
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, FENCED, CLOSED; WRONG_ROLE at a primary */
  assertFollowing(): void {
    if (this.state !== 'open') throw this.reason();
    assertSecondary(this.#journal);
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, FENCED, CLOSED, NOT_PRIMARY */
  assertWritable(): void {
    if (this.state !== 'open' || this.#journal.identity.role !== 'primary') throw this.reason();
  }
}
