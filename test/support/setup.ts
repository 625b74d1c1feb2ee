import fc from 'fast-check';
import { afterEach, beforeEach } from 'vitest';
import { takeUnexpected } from './reports.ts';

/** Of the time that a test may take. */
const PROPERTY_SHARE = 0.9;

// A property that would outlast its test fails a little earlier instead, with its seed and what it had found so far.
beforeEach(({ task }) => {
  if (task.timeout <= 0) return;
  fc.configureGlobal({ interruptAfterTimeLimit: task.timeout * PROPERTY_SHARE, markInterruptAsFailure: true });
});

// Registered before every hook of a test file, so it runs after them: what they close may report, too.
afterEach(() => {
  const unexpected = takeUnexpected();
  if (unexpected.length > 0)
    throw new Error(`error reports that the test did not declare (expectErrors of reports.ts):\n${unexpected.join('\n')}`);
});
