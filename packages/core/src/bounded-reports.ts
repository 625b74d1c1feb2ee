import type { Clock, Report, Reporter } from './seams/host.ts';

/** So many reports of a kind are told in an interval; the others are counted. */
const MOST_REPORTS = 4;
const INTERVAL_MS = 10_000;

/**
 * Reports of one kind, of which a stranger can cause as many as it likes. The first few in an interval are told, the
 * others at its end, in one report with their count.
 */
export class BoundedReports implements Disposable {
  readonly #clock: Clock;
  readonly #report: Reporter;
  readonly #summary: (count: number, seconds: number) => Report;
  /** Told in this interval, at most MOST_REPORTS. */
  #told = 0;
  /** Counted in this interval, and not told. */
  #untold = 0;
  /** Runs while an interval does. */
  #interval: Disposable | undefined;

  /** @param summary what is told of `count` reports that were not told one by one in the last `seconds` */
  constructor(clock: Clock, report: Reporter, summary: (count: number, seconds: number) => Report) {
    this.#clock = clock;
    this.#report = report;
    this.#summary = summary;
  }

  tell(report: Report): void {
    this.#interval ??= this.#clock.after(INTERVAL_MS, () => this.#end());
    if (this.#told >= MOST_REPORTS) {
      this.#untold += 1;
      return;
    }
    this.#told += 1;
    this.#report(report);
  }

  /** Tells what was only counted. */
  [Symbol.dispose](): void {
    this.#interval?.[Symbol.dispose]();
    this.#end();
  }

  #end(): void {
    const untold = this.#untold;
    this.#interval = undefined;
    this.#told = 0;
    this.#untold = 0;
    if (untold > 0) this.#report(this.#summary(untold, INTERVAL_MS / 1000));
  }
}
