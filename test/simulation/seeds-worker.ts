import { parentPort, workerData } from 'node:worker_threads';
import { explain } from './report.ts';
import { run } from './script.ts';
import type { Script } from './script.ts';
import { scriptOf } from './swarm.ts';

/** Which seeds a worker runs, and which scripts beside them. */
export interface SeedRange {
  readonly from: number;
  readonly count: number;
  readonly scripts: readonly Script[];
}

/** What a worker found. */
export interface SeedFindings {
  readonly failures: readonly string[];
  readonly marks: readonly string[];
  readonly promised: number;
}

const FAILURES = 2;

async function runSeeds({ from, count, scripts }: SeedRange): Promise<SeedFindings> {
  const failures: string[] = [];
  const marks = new Set<string>();
  let promised = 0;
  for (const script of [...scripts, ...Array.from({ length: count }, (_, index) => scriptOf(from + index))]) {
    const outcome = await run(script);
    promised += outcome.promised;
    for (const mark of outcome.marks) marks.add(mark);
    if (outcome.broken !== undefined) failures.push(await explain(outcome));
    if (failures.length >= FAILURES) break;
  }
  return { failures, marks: [...marks], promised };
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window: it has no origin
parentPort?.postMessage(await runSeeds(workerData as SeedRange));
