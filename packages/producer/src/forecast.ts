/** Rates are measured over at least this long. */
const SAMPLE_MS = 250;
/** The weight of a new sample in the moving average. */
const SAMPLE_WEIGHT = 0.3;

/** How soon a secondary will have caught up, from the rates at which it and the primary move. */
export class Forecast {
  #sample: { readonly at: number; readonly theirs: number; readonly ours: number } | undefined;
  /** Revisions a millisecond that the lag shrinks by. */
  #gain: number | undefined;

  /** @param at milliseconds on a clock that never steps back */
  observe(at: number, theirs: number, ours: number): void {
    const before = this.#sample;
    if (before !== undefined && at - before.at < SAMPLE_MS) return;
    this.#sample = { at, theirs, ours };
    if (before === undefined) return;
    const gain = (theirs - before.theirs - (ours - before.ours)) / (at - before.at);
    this.#gain = this.#gain === undefined ? gain : SAMPLE_WEIGHT * gain + (1 - SAMPLE_WEIGHT) * this.#gain;
  }

  caughtUpInMs(lagRevisions: number): number | null {
    if (lagRevisions <= 0) return 0;
    if (this.#gain === undefined || this.#gain <= 0) return null;
    return Math.ceil(lagRevisions / this.#gain);
  }

  /** Forgets the rates: the link was lost. */
  reset(): void {
    this.#sample = undefined;
    this.#gain = undefined;
  }
}
