import { afterEach } from 'vitest';
import { takeUnexpected } from './reports.ts';

// Registered before every hook of a test file, so it runs after them: what they close may report, too.
afterEach(() => {
  const unexpected = takeUnexpected();
  if (unexpected.length > 0)
    throw new Error(`error reports that the test did not declare (expectErrors of reports.ts):\n${unexpected.join('\n')}`);
});
