import { formatPosition, type Commit, type Position } from '@evertree/core';
import { RequestError } from './problem.ts';

/**
 * Decides whether a write may begin. A site whose configuration says `"on-timeout": "refuse"` takes no further writes
 * over HTTP while a commit of its own is not acknowledged by as many secondaries as configured.
 */
export class WriteAdmission {
  /** The last commit that too few secondaries acknowledged in time; undefined as soon as enough of them hold it. */
  #overdue: { readonly commit: Commit; readonly secondaries: number } | undefined;

  /** The position that the secondaries have to reach before further writes are taken. */
  get overdue(): Position | undefined {
    return this.#overdue?.commit.position;
  }

  /** @throws RequestError NOT_ACKNOWLEDGED, with Retry-After */
  check(): void {
    if (this.#overdue === undefined) return;
    const { commit, secondaries } = this.#overdue;
    const message =
      `${formatPosition(commit.position)} stands, but fewer than ${secondaries} of the secondaries hold it; ` +
      'this site takes no further writes until they do ("on-timeout": "refuse")';
    throw new RequestError('NOT_ACKNOWLEDGED', message, { position: commit.position, secondaries }, { 'Retry-After': '1' });
  }

  /** Refuses further writes until so many secondaries hold this commit. */
  refuseUntil(commit: Commit, secondaries: number): void {
    const before = this.#overdue;
    // Several writes may wait at one time; the last of them stands for all.
    if (before !== undefined && before.commit.position.revision >= commit.position.revision) return;
    const overdue = { commit, secondaries };
    this.#overdue = overdue;
    const settled = (): void => {
      if (this.#overdue === overdue) this.#overdue = undefined;
    };
    // It fails when the site is closed or another site has become the primary: both refuse writes for their own reasons.
    void commit.acknowledged(secondaries).then(settled, settled);
  }
}
