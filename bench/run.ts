import type { Bench, Measure } from './bench.ts';
import type { Figure } from './figure.ts';
import { tableLine } from './table.ts';

/** No measure takes half as long. One that hangs counts as failed at this limit. */
const MEASURE_LIMIT_MS = 600_000;

/** What a run of the bench found. */
export interface Results {
  readonly figures: readonly Figure[];
  readonly failures: readonly Failure[];
  /** Each measure's time, its fills included. */
  readonly tookSeconds: Readonly<Record<string, number>>;
}

/** A measure that gave no figures. */
interface Failure {
  readonly measure: string;
  readonly error: string;
}

/**
 * Runs the measures one after the other. One that fails is reported, and leaves nothing behind that the next one meets.
 */
export async function runMeasures(bench: Bench, measures: readonly Measure[]): Promise<Results> {
  const figures: Figure[] = [];
  const failures: Failure[] = [];
  const tookSeconds: Record<string, number> = {};
  for (const [index, measure] of measures.entries()) {
    bench.progress.measure(measure.name, index, measures.length);
    const begun = performance.now();
    try {
      const found = await limited(measure.run(bench));
      figures.push(...found);
      for (const figure of found) bench.progress.print(tableLine(figure));
    } catch (error) {
      failures.push({ measure: measure.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      bench.progress.print(`FAILED ${measure.name}: ${failures.at(-1)!.error}`);
      await bench.reset();
    }
    tookSeconds[measure.name] = Math.round((performance.now() - begun) / 100) / 10;
  }
  return { figures, failures, tookSeconds };
}

async function limited<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it took more than ${MEASURE_LIMIT_MS / 60e3} minutes`)), MEASURE_LIMIT_MS);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
