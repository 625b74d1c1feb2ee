import type { Report, Reporter } from '@evertree/core';

/** The most keys that are remembered; the oldest one beyond that may be reported again. */
const MOST_KEYS = 256;

/** Reports each thing once, and again only after `MOST_KEYS` other things. */
export class ReportOnce {
  readonly #report: Reporter;
  /** In the order in which they were told. Never more than `MOST_KEYS`. */
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
}
