import { parseArgs } from 'node:util';
import { explain } from '../test/simulation/report.ts';
import { run } from '../test/simulation/script.ts';
import { scriptOf } from '../test/simulation/swarm.ts';

const USAGE = `usage: pnpm simulate [--seeds N] [--from S] [--marks]

  --seeds N   so many random histories of two and more sites (default: 2000)
  --from S    the first seed (default: 1); the same seed gives the same history
  --marks     also how often each rare case came up`;
const FAILURES_SHOWN = 3;

/** Runs the histories of so many seeds, and prints a shortened script for the first that break a law. */
async function simulate(from: number, seeds: number, showsMarks: boolean): Promise<number> {
  const began = performance.now();
  const marks = new Map<string, number>();
  const failed: number[] = [];
  let events = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await run(scriptOf(seed));
    events += outcome.events;
    for (const mark of outcome.marks) marks.set(mark, (marks.get(mark) ?? 0) + 1);
    if (outcome.broken !== undefined) {
      failed.push(seed);
      if (failed.length <= FAILURES_SHOWN) console.log(`${await explain(outcome)}\n`);
    }
    if ((seed - from + 1) % 1000 === 0) console.log(`${seed - from + 1} histories, ${failed.length} broke a law`);
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(`${seeds} histories from seed ${from}: ${events} events in ${seconds.toFixed(1)} s, ${failed.length} broke a law`);
  if (failed.length > 0) console.log(`seeds: ${failed.join(' ')}`);
  if (showsMarks)
    for (const [mark, count] of [...marks].toSorted(([, a], [, b]) => b - a)) console.log(`${String(count).padStart(8)} ${mark}`);
  return failed.length === 0 ? 0 : 1;
}

const { values } = parseArgs({
  options: { seeds: { type: 'string' }, from: { type: 'string' }, marks: { type: 'boolean' }, help: { type: 'boolean' } },
});
const seeds = Number(values.seeds ?? 2000);
const from = Number(values.from ?? 1);
if (values.help === true) console.log(USAGE);
else if (Number.isSafeInteger(seeds) && seeds > 0 && Number.isSafeInteger(from) && from > 0)
  process.exitCode = await simulate(from, seeds, values.marks === true);
else {
  console.error(USAGE);
  process.exitCode = 2;
}
