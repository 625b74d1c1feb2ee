import { run } from './script.ts';
import type { Outcome, Script } from './script.ts';

/** Runs that a shrinking may take. */
const RUN_LIMIT = 600;

/**
 * Leaves out of a script what is not needed to break the same law, from large pieces to single lines, and shortens what
 * passes. A script that breaks no law is given back as it is.
 */
export async function shrink(outcome: Outcome): Promise<Outcome> {
  const law = outcome.broken?.law;
  if (law === undefined) return outcome;
  let smallest = outcome;
  let runs = 0;
  const tries = async (script: Script): Promise<boolean> => {
    if (runs++ >= RUN_LIMIT) return false;
    const found = await run(script);
    if (found.broken?.law !== law) return false;
    smallest = found;
    return true;
  };
  for (let size = Math.ceil(smallest.script.lines.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    let at = 0;
    while (at < smallest.script.lines.length) {
      const { lines } = smallest.script;
      const isShorter = await tries({ ...smallest.script, lines: lines.toSpliced(at, size) });
      if (!isShorter) at += size;
    }
  }
  return smallest;
}
