import { EvertreeError } from '../errors.ts';
import { formatPosition, type Position } from '../position.ts';
import type { Journal, SiteIdentity } from '../seams/journal.ts';
import { compareEpochs, highestEpoch, type Lineage } from '../lineage.ts';

/**
 * - `open`.
 * - `full`: the disk has no room; no writes, reads go on, and writes again when there is room.
 * - `refusing`: no writes, because another copy of this stream is ahead or has a higher epoch.
 * - `failed`: a write or a sync failed; start again, and the site recovers from what the disk holds.
 * - `closed`.
 */
export type StoreState = 'open' | 'full' | 'refusing' | 'failed' | 'closed';

/**
 * Decides whether a store takes commits, or its primary's frames: by the journal's state, the role, and the reason that
 * it was given to refuse.
 */
export class WriteGate {
  /** As of the last `update`; each change of it was told by `changed`. */
  state: StoreState = 'open';
  readonly #journal: Journal;
  readonly #changed: () => void;
  #closed = false;
  /** Why writes are refused although the journal takes them. */
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

  /** Refuses writes for this reason; with undefined it takes them again. */
  refuse(reason: EvertreeError | undefined): void {
    this.#refusal = reason;
    this.update();
  }

  /** To be called when the journal's state may have changed. */
  update(): void {
    const state = this.#judge();
    if (state === this.state) return;
    this.state = state;
    this.#changed();
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, FENCED, CLOSED, NOT_PRIMARY */
  assertWritable(): void {
    if (this.state !== 'open' || this.#journal.identity.role !== 'primary') throw this.reason();
  }

  /** @throws EvertreeError STORAGE_FULL, STORAGE_FAILED, FENCED, CLOSED; WRONG_ROLE at a primary */
  assertFollowing(): void {
    if (this.state !== 'open') throw this.reason();
    this.assertSecondary();
  }

  /** @throws EvertreeError WRONG_ROLE at a primary: its history has one writer, itself */
  assertSecondary(): void {
    const { site, role } = this.#journal.identity;
    if (role === 'secondary') return;
    throw new EvertreeError('WRONG_ROLE', `the site ${site} is a primary: it takes nothing of another's history`);
  }

  /**
   * Records that this site is a secondary from now on.
   * @throws EvertreeError WRONG_ROLE when it has commits of its own
   */
  async becomeSecondary(position: Position): Promise<void> {
    const { site, role } = this.#journal.identity;
    if (role === 'secondary') return;
    if (position.revision > 0) {
      const own = `the site ${site} is a primary with commits of its own (${formatPosition(position)})`;
      throw new EvertreeError('WRONG_ROLE', `${own}; a secondary starts with an empty directory`);
    }
    await this.#journal.identity.setRole('secondary');
  }

  /** The error of a write that is not taken. */
  reason(): EvertreeError {
    const { site, role } = this.#journal.identity;
    const { failure } = this.#journal.log;
    switch (this.state) {
      case 'closed':
        return new EvertreeError('CLOSED', 'this store is closed');
      case 'failed':
        return new EvertreeError(
          'STORAGE_FAILED',
          `the disk of ${site} failed; start it again to recover from what the disk holds`,
          {},
          failure,
        );
      case 'full':
        return new EvertreeError('STORAGE_FULL', `the disk of ${site} is full; writes go on when there is room`, {}, failure);
      default:
        if (role === 'secondary') {
          return new EvertreeError('NOT_PRIMARY', `${site} is a secondary: it takes changes from its primary only; write there`);
        }
        return this.#refusal ?? new EvertreeError('FENCED', `${site} takes no writes`);
    }
  }

  #judge(): StoreState {
    const { state } = this.#journal.log;
    if (this.#closed || state === 'closed') return 'closed';
    if (state === 'failed' || state === 'full') return state;
    return this.#refusal === undefined ? 'open' : 'refusing';
  }
}

/** Why a site takes no writes from its start on: it recorded that there is a higher epoch than those of its history. */
export function fenceOf({ site, role, fencedBy }: SiteIdentity, { epochs, last }: Lineage): EvertreeError | undefined {
  if (role !== 'primary' || fencedBy === undefined) return undefined;
  const ours = highestEpoch(epochs, last);
  if (compareEpochs(fencedBy, ours) <= 0) return undefined;
  const message =
    `${site} takes no writes: its last epoch is ${ours.number} (${ours.id}), and it has met a site that knows epoch ${fencedBy.number} ` +
    `(${fencedBy.id}), so another site has become the primary since. Write there. To let ${site} follow it, export what only ${site} holds, ` +
    'and start it as a secondary with an empty directory';
  return new EvertreeError('FENCED', message, { ours, fencedBy });
}
