import type { Report, Reporter } from '@evertree/core';

/**
 * Error reports of the running test.
 *
 * Much of what this project calls back (listeners, handlers of a link) catches what is thrown and reports it. A failed
 * assertion inside such a callback would therefore pass. So each test fails at its end for an error report that it did
 * not expect (setup.ts).
 */
let errors: Report[] = [];
/** The error of a FaultDisk after its process has died: reports after that are ignored. */
const DEAD = 'EDEAD';
const expected = new Set<string>();
const allowed = new Set<string>();

/** For what a test opens without looking at its reports. */
export const strictReport: Reporter = given => {
  if (given.level === 'error' && !given.message.includes(DEAD)) errors.push(given);
};

/** Keeps what is reported in `reports`. */
export function collectReports(reports: Report[] = []): { readonly reports: Report[]; readonly report: Reporter } {
  return {
    reports,
    report: given => {
      reports.push(given);
      strictReport(given);
    },
  };
}

/** The running test fails unless each of these events is reported as an error, once or more. */
export function expectErrors(...events: readonly string[]): void {
  for (const event of events) expected.add(event);
}

/** These events may be reported as errors while the running test lasts: whether they come depends on chance. */
export function allowErrors(...events: readonly string[]): void {
  for (const event of events) allowed.add(event);
}

/** What the test that ends now did not declare, in words, and forgets all about it. Empty when it passes. */
export function takeUnexpected(): string[] {
  const seen = new Set(errors.map(each => each.event));
  const unexpected = errors.filter(each => !expected.has(each.event) && !allowed.has(each.event)).map(describeReport);
  const missing = [...expected].filter(event => !seen.has(event)).map(event => `${event} was expected and was not reported`);
  errors = [];
  expected.clear();
  allowed.clear();
  return [...unexpected, ...missing];
}

/** With the line of the test where an assertion in a callback failed. */
function describeReport({ event, message, details }: Report): string {
  const cause = details?.['error'];
  const place = cause instanceof Error ? (cause.stack ?? '').split('\n').find(line => line.trimStart().startsWith('at ')) : undefined;
  return [`${event} was reported: ${message}`, ...(place === undefined ? [] : [place])].join('\n');
}
