export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Of the sorted values, the one at `fraction` of the way. */
export function quantile(values: readonly number[] | Float64Array, fraction: number): number {
  if (values.length === 0) throw new Error('a quantile needs values');
  const sorted = Float64Array.from(values).toSorted();
  const middle = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(middle)]!;
  return below + (sorted[Math.ceil(middle)]! - below) * (middle - Math.floor(middle));
}

/** The longest time between two of the moments, in milliseconds; all lists together, from one moment to another. */
export function longestGap(lists: readonly (readonly number[] | Float64Array)[], from: number, to: number): number {
  const moments = lists.flatMap(list => Array.from(list)).filter(moment => moment >= from && moment <= to);
  const ordered = [from, ...moments.toSorted((a, b) => a - b), to];
  return Math.max(...ordered.slice(1).map((moment, index) => moment - ordered[index]!));
}

/** The median of the ratios of two figures of one round: other load on the machine hits both. */
export function medianRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, round) => value / theirs[round]!));
}

/** Who takes part; undefined: not in this run. */
export type Contest<Name extends string> = Readonly<Record<Name, (() => Promise<number>) | undefined>>;

/** Is told which round of whom begins, and its result. */
interface RoundProgress {
  tell(what: string): void;
  found(result: number): void;
}

/**
 * Runs the contestants in turn, round by round; each round begins with another one.
 * @returns each contestant's figures, one a round; none if it did not take part
 */
export async function interleave<Name extends string>(
  contest: Contest<Name>,
  rounds: number,
  progress: RoundProgress,
): Promise<Record<Name, number[]>> {
  const entries = Object.entries(contest) as [Name, (() => Promise<number>) | undefined][];
  const results = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<Name, number[]>;
  const racers = entries.filter(([, run]) => run !== undefined);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < racers.length; turn++) {
      const [name, run] = racers[(turn + round) % racers.length]!;
      progress.tell(`round ${round + 1}, ${name}`);
      const result = await run!();
      progress.found(result);
      results[name].push(result);
    }
  }
  return results;
}
