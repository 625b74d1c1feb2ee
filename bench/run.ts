import type { Bench, Measure } from './bench.ts';
import type { Figure } from './figure.ts';
import { tableLine } from './table.ts';

/** The longest measure takes 8 minutes, and twice as long on a slow machine. One that hangs counts as failed at this limit. */
const MEASURE_LIMIT_MS = 1_800_000;

/** A machine is not judged by less. */
const LEAST_DONE_SECONDS = 30;

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
  const started = performance.now();
  const expected = ({ seconds, quickSeconds = seconds }: Measure) => (bench.options.quick ? quickSeconds : seconds);
  for (const [index, measure] of measures.entries()) {
    const begun = performance.now();
    const left = secondsLeft(measures.map(expected), index, (begun - started) / 1e3);
    bench.progress.measure(measure.name, index, measures.length, left);
    try {
      const found = await limited(measure.run(bench));
      figures.push(...found);
      for (const figure of found) bench.progress.print(tableLine(figure));
    } catch (error) {
      failures.push({ measure: measure.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      bench.progress.print(`FAILED ${measure.name}: ${failures.at(-1)!.error}`);
      await bench.reset();
    }
    if (!isSharedLater(measures, index)) await bench.reset();
    tookSeconds[measure.name] = Math.round((performance.now() - begun) / 100) / 10;
  }
  return { figures, failures, tookSeconds };
}

/**
 * What the measures from this one on take: what they are expected to, by how much this machine was slower or faster so
 * far.
 * @param expected of each measure, the seconds that it took elsewhere
 */
export function secondsLeft(expected: readonly number[], index: number, passedSeconds: number): number {
  const done = sum(expected.slice(0, index));
  return sum(expected.slice(index)) * (done < LEAST_DONE_SECONDS ? 1 : passedSeconds / done);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

/** Contestants that stay use memory and sometimes a core: they are ended as soon as nobody needs them. */
function isSharedLater(measures: readonly Measure[], index: number): boolean {
  const { shares } = measures[index]!;
  return shares !== undefined && measures.slice(index + 1).some(later => later.shares === shares);
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
