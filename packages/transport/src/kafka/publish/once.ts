import type { Report, Reporter } from '@evertree/core';

/** What was told is remembered by so many keys; beyond, the oldest may be told again. */
const MOST_KEYS = 256;

/** Tells each thing once, and later, after as many others, again at most. */
export class Once {
  readonly #report: Reporter;
  readonly #told = new Set<string>();

  constructor(report: Reporter) {
    this.#report = report;
  }

  tell(key: string, report: Report): void {
    if (this.#told.has(key)) return;
    const [oldest] = this.#told;
    if (this.#told.size >= MOST_KEYS && oldest !== undefined) this.#told.delete(oldest);
    this.#told.add(key);
    this.#report(report);
  }

  /** It is news again. */
  forget(key: string): void {
    this.#told.delete(key);
  }
}
