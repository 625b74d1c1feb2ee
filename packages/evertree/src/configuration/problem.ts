import { EvertreeError } from '@evertree/core';

/** One thing that is wrong with a configuration. */
export interface ConfigurationProblem {
  /** The file, or `configuration` for an object given in code. */
  readonly source: string;
  /** Counts from 1. Absent for an object given in code, and when the problem concerns the file itself. */
  readonly line?: number;
  readonly column?: number;
  /** The keys that lead to it, joined by dots: `netty-connection.consumer-port`. Empty for the whole document. */
  readonly key: string;
  /** What was found, what is expected, and what to write instead. */
  readonly message: string;
}

/** `configs/nettyProducer.json:4:5: netty-connection.consumer-port is …` */
export function formatProblem(problem: ConfigurationProblem): string {
  const place = problem.line === undefined ? problem.source : `${problem.source}:${problem.line}:${problem.column}`;
  return `${place}: ${problem.key === '' ? '' : `${problem.key} `}${problem.message}`;
}

/** Everything that is wrong, as one error: a line for each problem in its message, and the problems in its details. */
export function configurationError(problems: readonly ConfigurationProblem[], cause?: unknown): EvertreeError {
  const sorted = [...problems].toSorted(
    (a, b) => compare(a.source, b.source) || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
  return new EvertreeError('CONFIGURATION_INVALID', sorted.map(formatProblem).join('\n'), { problems: sorted }, cause);
}

/** The problems behind an error that `configurationError` made. */
export function problemsOf(error: EvertreeError): readonly ConfigurationProblem[] {
  const problems = error.details['problems'];
  return Array.isArray(problems) ? (problems as ConfigurationProblem[]) : [{ source: 'configuration', key: '', message: error.message }];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
