/** So many runs become one. */
const FAN_IN = 8;
/** With more runs than this, runs of unlike sizes are merged, too. */
const MANY_RUNS = 24;
/** No run is made of more change sets. */
const LARGEST_RUN = 64 * 1024 * 1024;

/** What a plan to merge needs to know of a run. */
export interface MergeCandidate {
  /** Change sets. */
  readonly size: number;
  /** Whether it goes on where the one before ends. */
  readonly continues: boolean;
}

/**
 * The runs that are worth merging: eight that follow one another, the smallest first. The largest of them is no more than
 * half of all: so a change is rewritten as often as sizes grow, and not each time that a few small runs come. Where there
 * are many runs, any are.
 * @param runs oldest first
 * @returns from which one on, and up to which one
 */
export function planMerge(runs: readonly MergeCandidate[]): { readonly from: number; readonly to: number } | undefined {
  let found: { readonly from: number; readonly to: number } | undefined;
  let least = Infinity;
  for (let from = 0; from + FAN_IN <= runs.length; from++) {
    const group = runs.slice(from, from + FAN_IN);
    const total = group.reduce((sum, { size }) => sum + size, 0);
    const largest = Math.max(...group.map(({ size }) => size));
    const isUneven = largest * 2 > total && runs.length <= MANY_RUNS;
    const isBroken = group.some(({ continues }, index) => index > 0 && !continues);
    if (total > LARGEST_RUN || isUneven || isBroken || total >= least) continue;
    found = { from, to: from + FAN_IN };
    least = total;
  }
  return found;
}
