import type { Path } from '@evertree/core';
import type { Touch } from '../change-index.ts';
import { sortSteps } from '../sort-steps.ts';
import { pathOf } from './path-key.ts';
import type { TouchCursor } from './touch-cursor.ts';

/** Of all touches that it is given, keeps the newest ones within a range of revisions. */
export class NewestTouches {
  /** About how many it keeps. */
  readonly limit: number;
  readonly after: number;
  readonly upTo: number;
  #touches: Touch[] = [];
  #missing: number;

  constructor(limit: number, range: { readonly after: number; readonly upTo: number }) {
    this.limit = limit;
    this.after = range.after;
    this.upTo = range.upTo;
    this.#missing = range.after;
  }

  /** Touches at or before this revision may be missing. */
  get missing(): number {
    return this.#missing;
  }

  /** Adds the touches of the entry at which a cursor stands. @returns how many of them are in the range */
  addAll(cursor: TouchCursor): number {
    let path: Path | undefined;
    let count = 0;
    cursor.forEach((revision, operation, isDelete) => {
      if (revision <= this.after || revision > this.upTo) return;
      count++;
      if (revision <= this.#missing) return;
      // All touches of a path share it: there may be as many commits as there are paths.
      path ??= pathOf(cursor.key, cursor.keyLength);
      this.#touches.push({ revision, operation, kind: isDelete ? 'delete' : 'put', path });
    });
    return count;
  }

  /** Whether `shorten` is to be called before more are added. */
  get isOverfull(): boolean {
    return this.#touches.length > this.limit * 2;
  }

  /** Lets the older ones go, in steps. */
  *shorten(): Generator<void> {
    const sorted = yield* sortSteps(this.#touches, newestFirst);
    this.missesBefore(sorted[this.limit]!.revision);
    this.#touches = sorted.filter(({ revision }) => revision > this.#missing);
  }

  /** Not all older touches of a path were added: those that were are the newest. */
  missesBefore(revision: number): void {
    this.#missing = Math.max(this.#missing, revision);
  }

  /** The newest touches, the newest first; in steps. `isComplete` says whether there are no others in the range. */
  *take(): Generator<void, { readonly touches: readonly Touch[]; readonly isComplete: boolean }> {
    const found = this.#touches.filter(({ revision }) => revision > this.#missing);
    return { touches: yield* sortSteps(found, newestFirst), isComplete: this.#missing === this.after };
  }
}

function newestFirst(a: Touch, b: Touch): number {
  return b.revision - a.revision || b.operation - a.operation;
}
