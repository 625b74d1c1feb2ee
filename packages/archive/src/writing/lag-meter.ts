import type { Clock, ExactPosition } from '@evertree/core';

/** So many moments are remembered; with more, every second one is forgotten. */
const MOMENTS_LIMIT = 1_024;

/** How far an archive is behind its site. */
export interface ArchiveLag {
  /** Stable commits that the archive lacks. */
  readonly commits: number;
  /** How long the oldest of them has been stable, in milliseconds; 0 if there is none. */
  readonly milliseconds: number;
}

/** Measures for how long stable commits have waited for the archive. */
export class LagMeter {
  readonly #clock: Clock;
  /** When a revision was first seen stable, the oldest first: of those that are not archived yet. */
  #moments: { readonly revision: number; readonly at: number }[] = [];
  #archived = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** So much is stable now. */
  stable({ revision }: ExactPosition): void {
    const last = this.#moments.at(-1)?.revision ?? this.#archived;
    // The history was cut back: what was measured is not of it any more.
    if (revision < last) this.#moments = [];
    if (revision === last || revision <= this.#archived) return;
    this.#moments.push({ revision, at: this.#clock.monotonic() });
    if (this.#moments.length > MOMENTS_LIMIT) this.#moments = this.#moments.filter((_, index) => index % 2 === 0);
  }

  archived(position: ExactPosition | null): void {
    this.#archived = position?.revision ?? 0;
    const first = this.#moments.findIndex(({ revision }) => revision > this.#archived);
    this.#moments = first < 0 ? [] : this.#moments.slice(first);
  }

  behind(position: ExactPosition | null, stable: ExactPosition): ArchiveLag {
    const commits = Math.max(0, stable.revision - (position?.revision ?? 0));
    const [oldest] = this.#moments;
    return { commits, milliseconds: oldest === undefined || commits === 0 ? 0 : Math.round(this.#clock.monotonic() - oldest.at) };
  }
}
